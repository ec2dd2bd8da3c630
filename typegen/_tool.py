"""A tool as typegen sees it: what a declaration is made from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typegen._json import JsonValue


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tool:
    """A callable offered to the model: its real name, its schemas and what it says about itself.

    Treated as a value: the mappings must not change afterwards. Two tools are equal when their content is.
    ``is_output_learned`` marks an output schema that was learned from results instead of given by the server.
    """

    name: str
    input_schema: Mapping[str, JsonValue]
    description: str = ""
    title: str | None = None
    output_schema: Mapping[str, JsonValue] | None = None
    annotations: Mapping[str, JsonValue] | None = None
    is_output_learned: bool = False
    _digest: list[str] = field(default_factory=list, init=False, repr=False)

    @property
    def digest(self) -> str:
        """The SHA-256 of the content, in hex; computed when first asked for. Key order counts, as it does in text."""
        if not self._digest:
            content = [
                self.name,
                self.input_schema,
                self.description,
                self.title,
                self.output_schema,
                self.annotations,
                self.is_output_learned,
            ]
            try:
                text = json.dumps(content, default=dict, separators=(",", ":"))
            except (ValueError, RecursionError):  # circular or deeper than the interpreter's stack
                text = f"{id(self)}:{self.name}"
            self._digest.append(hashlib.sha256(text.encode()).hexdigest())
        return self._digest[0]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tool) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)
