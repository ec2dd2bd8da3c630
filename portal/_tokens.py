"""Count the tokens of a text as a language model reads it, offline."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Final, Protocol

ENCODING: Final = "o200k_base"  # its rank file comes inside bpe_openai: counting never goes to the network

# The library refuses texts of a million characters. A cut costs at most a few tokens each.
_PIECE_CHARS: Final = 500_000


class _Encoding(Protocol):
    def encode_ordinary(self, text: str) -> list[int]: ...


def count_tokens(text: str) -> int:
    """Return how many o200k tokens ``text`` is; the first call takes half a second to load the ranks.

    What looks like a special token is counted as the text it is.
    """
    encoding = _encoding()
    pieces = (text[at : at + _PIECE_CHARS] for at in range(0, len(text), _PIECE_CHARS))
    return sum(len(encoding.encode_ordinary(piece)) for piece in pieces)


@cache
def _encoding() -> _Encoding:
    with warnings.catch_warnings():
        # It reads its ranks through importlib.resources.open_binary, deprecated between Python 3.11 and 3.12 only.
        warnings.simplefilter("ignore", DeprecationWarning)
        # Imported when first used: the extension maps 74 MB, which a portal that never counts does not need.
        from bpe_openai import get_encoding  # noqa: PLC0415

        encoding: _Encoding = get_encoding(ENCODING)
    return encoding
