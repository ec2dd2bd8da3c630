"""One test of test262 (see its INTERPRETING.md): what its front matter says, and whether an isolate can run it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FRONT_MATTER = re.compile(r"/\*---[\r\n](.*?)---\*/", re.DOTALL)

# An isolate has none of these on purpose: see docs/security.md, "What is promised".
HOST_LACKS = {
    "module": "modules",
    "dynamic-import": "modules",
    "import.meta": "modules",
    "import-assertions": "modules",
    "import-attributes": "modules",
    "import-bytes": "modules",
    "import-defer": "modules",
    "import-text": "modules",
    "json-modules": "modules",
    "source-phase-imports": "modules",
    "source-phase-imports-module-source": "modules",
    "arbitrary-module-namespace-names": "modules",
    "export-star-as-namespace-from-module": "modules",
    "top-level-await": "modules",
    "Atomics": "threads",
    "Atomics.pause": "threads",
    "Atomics.waitAsync": "threads",
    "SharedArrayBuffer": "threads",
    "cross-realm": "a second realm",
    "ShadowRealm": "a second realm",
    "IsHTMLDDA": "a host object of browsers",
    "host-gc-required": "a way to ask for garbage collection",
    "CanBlockIsFalse": "threads",
    "CanBlockIsTrue": "threads",
}
"""Features and flags that need what the host leaves out, with what that is."""

ENGINE_LACKS = frozenset({
    "Temporal", "decorators", "tail-call-optimization", "legacy-regexp", "canonical-tz", "await-dictionary",
    "FinalizationRegistry.prototype.cleanupSome", "regexp-buffer-boundaries",
})  # fmt: skip
"""Features that quickjs-ng 0.17 does not have; everything named ``Intl…`` besides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One test in one mode; ``negative`` is the name of the error that it must end with, if any."""

    path: str
    source: str
    is_strict: bool
    includes: tuple[str, ...] = ()
    is_raw: bool = False
    is_async: bool = False
    negative: str | None = None

    @property
    def name(self) -> str:
        """What the list of failures calls it."""
        return f"{self.path} {'strict' if self.is_strict else 'sloppy'}"


def cases_of(checkout: Path, path: str) -> Iterator[Case]:
    """Yield a test in each mode that it is for; none where ``skip_reason`` says why."""
    source = read(checkout / "test" / path)
    matter = front_matter(source)
    if skip_reason(path, source, matter) is not None:
        return
    flags = set(matter.get("flags") or ())
    negative = matter.get("negative") or {}
    for is_strict in (False, True):
        if (is_strict and flags & {"noStrict", "raw"}) or (not is_strict and "onlyStrict" in flags):
            continue
        yield Case(
            path=path,
            source=source,
            is_strict=is_strict,
            includes=tuple(matter.get("includes") or ()),
            is_raw="raw" in flags,
            is_async="async" in flags,
            negative=negative.get("type"),
        )


def read(file: Path) -> str:
    """Return the text of a file with its line ends as they are: some tests are about them."""
    return file.read_bytes().decode("utf-8", errors="surrogateescape")


def front_matter(source: str) -> dict[str, Any]:
    """Return the YAML at the head of a test; an empty mapping where there is none."""
    found = _FRONT_MATTER.search(source)
    matter = yaml.safe_load(found[1].replace("\r\n", "\n").replace("\r", "\n")) if found else None
    return matter if isinstance(matter, dict) else {}


def skip_reason(path: str, source: str, matter: dict[str, Any]) -> str | None:
    """Say why an isolate cannot run a test; None when it can."""
    named = [*(matter.get("features") or ()), *(matter.get("flags") or ())]
    for name in named:
        if name in HOST_LACKS:
            return f"the host has no {HOST_LACKS[name]}"
        if name in ENGINE_LACKS or name.startswith(("Intl", "intl")):
            return f"the engine has no {name}"
    if "$262" in source or {"detachArrayBuffer.js", "atomicsHelper.js"} & set(matter.get("includes") or ()):
        return "it needs the host's object $262"
    return "it is a part of another test" if "_FIXTURE" in path else None
