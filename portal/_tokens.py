"""Count the tokens of a text as a language model reads it, offline."""

from __future__ import annotations

import warnings
from functools import cache
from importlib.util import find_spec
from typing import Final, Protocol

from portal._errors import ConfigError

ENCODING: Final = "o200k_base"
ENCODINGS: Final = (ENCODING, "cl100k_base")  # their rank files come inside bpe_openai: nothing is ever downloaded

# The library refuses texts of a million characters. A cut costs at most a few tokens each.
_PIECE_CHARS: Final = 500_000


class _Encoding(Protocol):
    def encode_ordinary(self, text: str) -> list[int]: ...


def check_can_count() -> None:
    """Raise ``ConfigError`` unless the tokeniser is installed: it is large, and a portal that serves needs none."""
    if find_spec("bpe_openai") is None:
        raise ConfigError("counting tokens needs bpe-openai: install it with `pip install 'portico[demo]'`.")


def count_tokens(text: str, encoding: str = ENCODING) -> int:
    """Return how many tokens ``text`` is; the first call takes half a second to load the ranks.

    What looks like a special token is counted as the text it is. Raises ``KeyError`` for an unknown encoding.
    """
    ranks = _encoding(encoding)
    pieces = (text[at : at + _PIECE_CHARS] for at in range(0, len(text), _PIECE_CHARS))
    return sum(len(ranks.encode_ordinary(piece)) for piece in pieces)


@cache
def _encoding(name: str) -> _Encoding:
    if name not in ENCODINGS:
        raise KeyError(name)
    with warnings.catch_warnings():
        # It reads its ranks through importlib.resources.open_binary, deprecated between Python 3.11 and 3.12 only.
        warnings.simplefilter("ignore", DeprecationWarning)
        # Imported when first used: the extension maps 74 MB, which a portal that never counts does not need.
        from bpe_openai import get_encoding  # noqa: PLC0415 -- as said

        ranks: _Encoding = get_encoding(name)
    return ranks
