"""A configuration file's text, or the reason why there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from portal._errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

MAX_FILE_BYTES: Final = 4 * 2**20  # ~/.claude.json grows to megabytes of history; nothing real is larger


def read_text_file(path: Path, *, noun: str) -> str:
    """Read UTF-8 text, without a byte order mark. Raises ``ConfigError`` that says why it cannot be read."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        message = f"{noun} does not exist: check the path (looked for {path.absolute()})."
        raise ConfigError(message, file=path) from None
    except IsADirectoryError:
        raise ConfigError(f"{noun} is a folder: name the file in it.", file=path) from None
    except OSError as error:
        raise ConfigError(f"{noun} cannot be read: {error.strerror or error}.", file=path) from None
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError(f"{noun} is larger than {MAX_FILE_BYTES // 2**20} MiB: is it the right file?", file=path)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{noun} is not UTF-8 text: save it as UTF-8.", file=path, line=line) from None
