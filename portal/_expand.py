"""``${VAR}``, ``${VAR:-default}`` and ``${file:/path}`` in a configuration file's texts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from portal._errors import ConfigError
from portal._secret import Secret
from portal._suggestion import nearest

# `$${` stands for a literal `${`, as in Compose files.
_REFERENCE: Final = re.compile(r"\$\$\{|\$\{([^{}]*)\}|\$\{")
_VARIABLE: Final = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>.*))?", re.DOTALL)
_MAX_FILE_BYTES: Final = 64 * 2**10  # a credential, not a document
# Names that hold no credential by convention: hiding "/home/ada" in every log line would help nobody.
_PUBLIC_NAMES: Final = frozenset({"HOME", "HOSTNAME", "LANG", "LOGNAME", "PATH", "PWD", "SHELL", "TMPDIR", "USER"})

Dialect: TypeAlias = Callable[[str, int], "str | None"]


@dataclass(slots=True)
class Expander:
    """Expands references for one file; ``expanded`` collects what came from outside it, for redaction.

    ``dialect`` is asked first and answers what only one kind of file knows (``workspaceFolder``).
    """

    file: Path
    environ: Mapping[str, str]
    dialect: Dialect | None = None
    expanded: list[Secret] = field(default_factory=list)

    def expand(self, text: str, *, line: int) -> str:
        """Replace every reference. Raises ``ConfigError`` with ``line`` when a name is unset or a file unreadable."""

        def replace(found: re.Match[str]) -> str:
            if found.group() == "$${":
                return "${"
            reference = found.group(1)
            if reference is None:
                message = "a ${ without its }: close it, or write $${ for the two characters themselves."
                raise ConfigError(message, file=self.file, line=line)
            return self._resolve(reference, line)

        return _REFERENCE.sub(replace, text)

    def drain(self) -> tuple[Secret, ...]:
        """Return what was expanded since the last call."""
        found = tuple(self.expanded)
        self.expanded.clear()
        return found

    def _resolve(self, reference: str, line: int) -> str:
        known = self.dialect(reference, line) if self.dialect is not None else None
        if known is not None:
            return known
        if self.dialect is not None:  # Cursor and VS Code write ${env:NAME}
            reference = reference.removeprefix("env:")
        if reference.startswith("file:"):
            value = self._read(reference.removeprefix("file:"), line)
            self.expanded.append(Secret(value))
            return value
        variable = _VARIABLE.fullmatch(reference)
        if variable is None:
            message = f"${{{reference}}} is not a reference: write ${{NAME}}, ${{NAME:-default}} or ${{file:/path}}"
            raise ConfigError(f"{message} ($${{ stands for a literal ${{).", file=self.file, line=line)
        name, default = variable["name"], variable["default"]
        value = self.environ.get(name, "")
        if not value and default is not None:
            return default
        if name not in self.environ:
            raise ConfigError(_unset(name, self.environ), file=self.file, line=line)
        if name not in _PUBLIC_NAMES:
            self.expanded.append(Secret(value))
        return value

    def _read(self, name: str, line: int) -> str:
        path = self.file.parent / Path(name).expanduser()
        try:
            with path.open("rb") as file:
                content = file.read(_MAX_FILE_BYTES + 1)
            if len(content) > _MAX_FILE_BYTES:
                message = f"${{file:{name}}} is larger than {_MAX_FILE_BYTES // 2**10} KiB."
                raise ConfigError(message, file=self.file, line=line)
            return content.decode().rstrip("\r\n")
        except OSError as error:
            message = f"${{file:{name}}} cannot be read ({path}): {error.strerror or error}."
            raise ConfigError(message, file=self.file, line=line) from None
        except UnicodeDecodeError:
            raise ConfigError(f"${{file:{name}}} is not UTF-8 text.", file=self.file, line=line) from None


def _unset(name: str, environ: Mapping[str, str]) -> str:
    near = nearest(name, environ)
    hint = f" ({near} is set: was that meant?)" if near else ""
    return f"${{{name}}} is not set{hint}: export {name}, or write ${{{name}:-value}} for a default."
