"""What one upstream offers: its tools, prompts, resources and templates, each checked once when it was listed."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

import anyio.lowlevel
import anyio.to_thread
import orjson

from portal.upstream._tool import add_tools
from portal.upstream._validity import is_valid_item, load_models
from portal.wire import LATEST_HANDSHAKE_VERSION, MODERN_VERSION

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from portal.upstream._tool import UpstreamTool
    from typegen import JsonObject, JsonValue

logger = logging.getLogger("portico.upstream")

Kind: TypeAlias = Literal["tools", "prompts", "resources", "templates"]
"""What a server lists, each with a request of its own."""
Change: TypeAlias = Literal["tools", "prompts", "resources", "about", "status"]
"""What became different of a server. Templates count as resources, as in the protocol; ``about`` is what it says of
itself: capabilities, instructions, name and version."""

KINDS: Final[frozenset[Kind]] = frozenset(get_args(Kind))
SLICE: Final = 100
"""So many definitions are checked at once, about 5 ms: other work goes on while thousands are read."""

CODE_MODE_TOOLS: Final = (frozenset({"code"}), frozenset({"query", "execute"}), frozenset({"search", "execute"}))
"""The lists of servers that are code mode themselves: Portico's, and those of its peers."""
CODE_MODE_PREFIX: Final = "portal_codemode_"

# The request that lists a kind, and the fields of its answer and of a definition that says which one it is.
METHODS: Final[Mapping[Kind, str]] = {
    "tools": "tools/list",
    "prompts": "prompts/list",
    "resources": "resources/list",
    "templates": "resources/templates/list",
}
ANSWER_FIELDS: Final[Mapping[Kind, str]] = {
    "tools": "tools",
    "prompts": "prompts",
    "resources": "resources",
    "templates": "resourceTemplates",
}
_KEYS: Final[Mapping[Kind, str]] = {"tools": "name", "prompts": "name", "resources": "uri", "templates": "uriTemplate"}
_CHANGES: Final[Mapping[Kind, Change]] = {
    "tools": "tools",
    "prompts": "prompts",
    "resources": "resources",
    "templates": "resources",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Offers:
    """What a server listed last, and what it said of itself. ``tools`` are by their own names, in its order.

    Definitions are as they came, unknown fields included; what is no valid one is left out.
    """

    tools: Mapping[str, UpstreamTool] = field(default_factory=dict)
    prompts: tuple[JsonObject, ...] = ()
    resources: tuple[JsonObject, ...] = ()
    templates: tuple[JsonObject, ...] = ()
    capabilities: JsonObject = field(default_factory=dict)
    server_info: JsonObject = field(default_factory=dict)
    instructions: str | None = None
    protocol_version: str | None = None
    _listed: Mapping[Kind, Sequence[JsonValue]] = field(default_factory=dict)
    _digests: Mapping[Kind, str] = field(default_factory=dict)

    @property
    def is_code_mode(self) -> bool:
        """Whether the server shows a few tools in place of its own, as a portal in code mode does."""
        names = frozenset(self.tools)
        return names in CODE_MODE_TOOLS or any(name.startswith(CODE_MODE_PREFIX) for name in names)

    @classmethod
    def of(cls, kept: JsonObject, *, upstream: str) -> Offers:
        """Read what ``as_json`` wrote, checking it anew."""
        info, capabilities = kept.get("serverInfo"), kept.get("capabilities")
        instructions, version = kept.get("instructions"), kept.get("protocolVersion")
        offers = cls(
            capabilities=capabilities if isinstance(capabilities, dict) else {},
            server_info=info if isinstance(info, dict) else {},
            instructions=instructions if isinstance(instructions, str) else None,
            protocol_version=version if isinstance(version, str) else None,
        )
        for kind in get_args(Kind):
            listed = kept.get(kind)
            if isinstance(listed, list):
                offers = _at_once(offers._reading(kind, listed, _digest(listed), upstream=upstream))
        return offers

    def saying(self, about: Offers) -> Offers:
        """Return these lists with what ``about`` says of the server itself."""
        return replace(
            self,
            capabilities=about.capabilities,
            server_info=about.server_info,
            instructions=about.instructions,
            protocol_version=about.protocol_version,
        )

    def as_json(self) -> JsonObject:
        """Return everything as the server sent it, for ``of``."""
        about: JsonObject = {
            "capabilities": self.capabilities,
            "serverInfo": self.server_info,
            "instructions": self.instructions,
            "protocolVersion": self.protocol_version,
        }
        return {**about, **{kind: list(listed) for kind, listed in self._listed.items()}}

    async def with_list(self, kind: Kind, listed: Sequence[JsonValue], *, upstream: str) -> Offers:
        """Return offers with another list of ``kind``; the same object when nothing in it is new."""
        digest = await anyio.to_thread.run_sync(_digest, listed) if len(listed) > SLICE else _digest(listed)
        if self._digests.get(kind) == digest:
            return self
        if listed:
            await load_models()
        steps = self._reading(kind, listed, digest, upstream=upstream)
        while True:
            try:
                next(steps)
            except StopIteration as done:
                offers: Offers = done.value
                return offers
            await anyio.lowlevel.checkpoint()

    def changes_since(self, before: Offers) -> frozenset[Change]:
        """Say in what these offers differ from earlier ones."""
        changed: set[Change] = {
            _CHANGES[kind] for kind in KINDS if self._digests.get(kind, _EMPTY) != before._digests.get(kind, _EMPTY)
        }
        if _about(self) != _about(before):
            changed.add("about")
        return frozenset(changed)

    def _reading(
        self, kind: Kind, listed: Sequence[JsonValue], digest: str, *, upstream: str
    ) -> Generator[None, None, Offers]:
        """Read a list slice by slice; what comes in the end is these offers with it."""
        tools: dict[str, UpstreamTool] = {}
        others: dict[str, JsonObject] = {}
        for start in range(0, len(listed), SLICE):
            if kind == "tools":
                add_tools(tools, listed[start : start + SLICE], upstream=upstream, known=self.tools)
            else:
                _add(others, kind, listed[start : start + SLICE], upstream=upstream)
            yield
        replaced = partial(
            replace, self, _listed={**self._listed, kind: listed}, _digests={**self._digests, kind: digest}
        )
        match kind:
            case "tools":
                return replaced(tools=tools)
            case "prompts":
                return replaced(prompts=tuple(others.values()))
            case "resources":
                return replaced(resources=tuple(others.values()))
            case "templates":
                return replaced(templates=tuple(others.values()))


def _at_once(steps: Generator[None, None, Offers]) -> Offers:
    while True:
        try:
            next(steps)
        except StopIteration as done:
            offers: Offers = done.value
            return offers


def _add(into: dict[str, JsonObject], kind: Kind, definitions: Sequence[JsonValue], *, upstream: str) -> None:
    """Read more definitions of prompts, resources or templates; what is no valid one is left out with a warning."""
    for definition in definitions:
        key = definition.get(_KEYS[kind]) if isinstance(definition, dict) else None
        if not isinstance(definition, dict) or not isinstance(key, str) or not _is_valid(kind, definition):
            logger.warning("%s: left out one of its %s, %r: it is not valid", upstream, kind, str(key)[:80])
        elif key in into:
            logger.warning("%s: left out the second of its %s with the name %r", upstream, kind, key[:80])
        else:
            into[key] = definition


def _is_valid(kind: Kind, definition: JsonObject) -> bool:
    return all(
        is_valid_item(definition, method=METHODS[kind], field=ANSWER_FIELDS[kind], version=version)
        for version in (LATEST_HANDSHAKE_VERSION, MODERN_VERSION)
    )


def _digest(listed: Sequence[JsonValue]) -> str:
    try:
        content = orjson.dumps(listed)
    except TypeError:  # integers beyond 64 bits, strings that are not Unicode, or nested deep
        content = b"\n".join(map(_written, listed))
    return hashlib.sha256(content).hexdigest()


def _written(definition: JsonValue) -> bytes:
    try:
        return json.dumps(definition).encode()
    except RecursionError:  # it will be left out, whatever it says
        return b"too deep"


_EMPTY: Final = _digest([])


def _about(offers: Offers) -> tuple[JsonValue, ...]:
    return offers.capabilities, offers.server_info, offers.instructions, offers.protocol_version
