"""A string that does not print itself."""

from __future__ import annotations

from typing import Final, final

HIDDEN: Final = "***"


@final
class Secret:
    """A credential in a box: ``repr``, ``str`` and formatting show ``***``; ``reveal()`` opens it.

    Two secrets are equal when their texts are. It cannot be pickled, so that it never rides along into another process.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself; call this where it is used, and keep the result nowhere."""
        return self._text

    def __len__(self) -> int:
        return len(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __repr__(self) -> str:
        return f"Secret({HIDDEN})"

    def __str__(self) -> str:
        return HIDDEN

    def __format__(self, spec: str) -> str:
        return format(HIDDEN, spec)

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a Secret is not pickled: pass what needs it by name instead")
