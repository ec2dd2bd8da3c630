"""The answer to a query for tools, outside of any program: the text that the tool ``query`` gives."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

import orjson

from engine._errors import CallError
from engine._quote import quoted_part
from typegen import declare

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine._catalog import Catalog, CatalogTool
    from engine._learned import LearnedView
    from typegen import Declaration, JsonObject

Detail: TypeAlias = Literal["names", "types", "schemas"]
"""How much of each tool found is told: its name and a sentence, its TypeScript declaration, or its MCP definition."""

QUERY_LIMIT: Final = 5
"""Tools in one answer, about 1,000 tokens of declarations: enough to choose from, and more can be asked for."""
QUERY_LIMIT_MAX: Final = 50
_NAMES_LIMIT: Final = 20
_SENTENCE: Final = re.compile(r"(?<=[.!?])\s")
_SENTENCE_CHARS: Final = 120


def query_tools(
    catalog: Catalog,
    query: str,
    *,
    server: str | None = None,
    limit: int | None = None,
    detail: Detail = "types",
    name_of: Callable[[CatalogTool], str] | None = None,
    learned: LearnedView | None = None,
) -> str:
    """Find the tools of ``catalog`` that answer ``query`` and describe them, best first.

    ``/…/`` is a regular expression over names, parameters and descriptions. ``name_of`` says by which name the reader
    calls a tool; without it, its identifier. ``learned`` knows the results of tools without an output schema. Raises
    ``CallError`` for an unknown server or detail, or a bad expression.
    """
    if detail not in get_args(Detail):
        known_details = ", ".join(get_args(Detail))
        raise CallError(f"query: detail {quoted_part(detail)!r} is not one of {known_details}", name="TypeError")
    known_ids = [known.id for known in catalog.servers]
    if server is not None and server not in known_ids:
        raise CallError(f"query: no server {quoted_part(server)!r}. Servers: {', '.join(known_ids)}", name="TypeError")
    wanted = limit if limit is not None else (_NAMES_LIMIT if detail == "names" else QUERY_LIMIT)
    found = catalog.search(query, server=server, limit=max(1, min(wanted, QUERY_LIMIT_MAX)))
    if not found:
        return _nothing(catalog, query, server)
    name = name_of or (lambda entry: entry.identifier)
    if detail == "names":
        return "\n".join(_line(name(entry), entry) for entry in found)
    if detail == "schemas":
        return _schemas(found, name)
    if name_of is None:
        return _with_hint([catalog.declaration(entry, learned=learned) for entry in found])
    tools = [entry.tool if learned is None else learned.tool(entry) for entry in found]
    return _with_hint([declare(tool, identifier=name(entry)) for entry, tool in zip(found, tools, strict=True)])


def _with_hint(declarations: Sequence[Declaration]) -> str:
    """Join declarations; where a type is shortened, say how to see the whole of it."""
    text = "\n\n".join(declaration.text for declaration in declarations)
    is_shortened = not all(declaration.complete for declaration in declarations)
    return f'{text}\n\n[some types are shortened: detail "schemas" shows them whole]' if is_shortened else text


def _nothing(catalog: Catalog, query: str, server: str | None) -> str:
    """Say honestly that nothing matches, and what comes nearest."""
    where = f" on {server}" if server is not None else ""
    near = catalog.nearest(query)
    hint = f"Names that look alike: {', '.join(near)}." if near else f"Servers: {', '.join(_offering(catalog))}."
    return f"No tool{where} matches {quoted_part(query)!r}. {hint}"


def _offering(catalog: Catalog) -> list[str]:
    return [f"{known.id} ({len(known.tools)} tools)" for known in catalog.servers if known.tools]


def _line(name: str, entry: CatalogTool) -> str:
    sentence = _SENTENCE.split(" ".join(entry.tool.description.split()), maxsplit=1)[0]
    shown = quoted_part(sentence, _SENTENCE_CHARS)
    return f"{name}: {shown}" if shown else name


def _schemas(found: Sequence[CatalogTool], name: Callable[[CatalogTool], str]) -> str:
    definitions: list[JsonObject] = []
    for entry in found:
        definition: JsonObject = {"name": name(entry), "description": entry.tool.description}
        definition["inputSchema"] = dict(entry.tool.input_schema)
        if entry.tool.output_schema is not None:
            definition["outputSchema"] = dict(entry.tool.output_schema)
        definitions.append(definition)
    try:
        return orjson.dumps(definitions).decode()
    except TypeError:  # integers beyond 64 bits, and lone surrogates
        return json.dumps(definitions, separators=(",", ":"))
