"""JSON Schema -> TypeScript declarations and safe identifiers: pure functions without I/O.

``declare`` turns a tool into a compact method signature within a token budget; ``declare_module`` turns many into a
module that ``tsc --strict`` accepts; ``type_of`` gives the type of one schema. ``assign_identifiers`` names tools so
that each name maps back to one of them. ``learn`` tells the type of results from results. Remote references are never
fetched.
"""

from typegen._declare import (
    DEFAULT_TOKEN_BUDGET,
    DETAIL_TOKEN_BUDGET,
    Declaration,
    declare,
    type_of,
    unfold,
)
from typegen._json import JsonObject, JsonValue
from typegen._learn import learn
from typegen._module import declare_module
from typegen._names import assign_identifiers, fold_name, identifier_for
from typegen._outline import outline
from typegen._result_shape import ResultShape
from typegen._text import estimate_tokens
from typegen._tool import Tool

__all__ = [
    "DEFAULT_TOKEN_BUDGET",
    "DETAIL_TOKEN_BUDGET",
    "Declaration",
    "JsonObject",
    "JsonValue",
    "ResultShape",
    "Tool",
    "assign_identifiers",
    "declare",
    "declare_module",
    "estimate_tokens",
    "fold_name",
    "identifier_for",
    "learn",
    "outline",
    "type_of",
    "unfold",
]
