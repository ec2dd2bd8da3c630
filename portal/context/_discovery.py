"""What it costs to find tools: real searches over the catalog, answered as an agent would get them."""

from __future__ import annotations

import json
import re
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from engine import UpstreamError
from portal._tokens import count_tokens
from portal.context._ledger import compact
from portal.server import OWN_SERVER_ID

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine import Catalog, CatalogTool, Engine, ToolCall
    from typegen import JsonObject

SAMPLE: Final = 40
"""Searches made where none are given: enough for a median, and done in a second."""
_MAX_QUERY_CHARS: Final = 120
_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s|\n")
_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Tokens over several samples."""

    median: int
    p95: int
    most: int

    @classmethod
    def of(cls, samples: Sequence[int]) -> Spread:
        """Sum up ``samples``, of which there is at least one."""
        ordered = sorted(samples)
        at = min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))
        return cls(median=round(statistics.median(ordered)), p95=ordered[at], most=ordered[-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """The tokens that finding a tool leaves in the context, the call that the model writes included.

    ``search`` is ``codemode.search`` and ``describe`` is ``codemode.describe`` of one tool, each a program of its own;
    ``query`` is the tool of that name. ``found`` counts the searches that brought the tool whose description asked.
    """

    queries: tuple[str, ...]
    is_sampled: bool
    found: int
    search: Spread
    describe: Spread
    both: Spread
    query: Spread


async def discovery(
    engine: Engine, catalog: Catalog, *, queries: Sequence[str] = (), encoding: str
) -> Discovery | None:
    """Search for tools and describe the best; without ``queries``, with what a sample of the tools say of themselves.

    ``None`` where there is no tool to find. No tool is called.
    """
    asked: list[tuple[str, CatalogTool | None]] = [(query, None) for query in queries]
    if not asked:
        asked = [(_request(entry), entry) for entry in _sample(catalog)]
    if not asked:
        return None
    searches, descriptions, answers = [], [], []
    found = 0
    for query, wanted in asked:
        ranked = catalog.search(query)
        best = wanted or (ranked[0] if ranked else None)
        found += wanted in ranked
        searches.append(await _program_cost(engine, catalog, f"codemode.search({_literal(query)})", encoding))
        if best is not None:
            program = f"codemode.describe({_literal(best.identifier)})"
            descriptions.append(await _program_cost(engine, catalog, program, encoding))
        else:
            descriptions.append(0)
        told = engine.query(query, catalog=catalog)
        answers.append(count_tokens(_call("query", {"query": query}), encoding) + count_tokens(told, encoding))
    return Discovery(
        queries=tuple(query for query, _ in asked),
        is_sampled=not queries,
        found=found,
        search=Spread.of(searches),
        describe=Spread.of(descriptions),
        both=Spread.of([a + b for a, b in zip(searches, descriptions, strict=True)]),
        query=Spread.of(answers),
    )


def words_of(name: str) -> str:
    """Return a tool's name as the words that somebody would look for it with."""
    return " ".join(word.lower() for word in _WORDS.findall(name)) or name


async def _program_cost(engine: Engine, catalog: Catalog, program: str, encoding: str) -> int:
    answer = await engine.code(program, catalog=catalog, invoker=_no_calls)
    return count_tokens(_call("code", {"code": program}), encoding) + count_tokens(answer.text, encoding)


def _call(tool: str, arguments: JsonObject) -> str:
    return compact({"name": tool, "arguments": arguments})


async def _no_calls(call: ToolCall) -> JsonObject:
    raise UpstreamError("searching calls no tool", server=call.entry.server_id, tool=call.entry.name)


def _sample(catalog: Catalog) -> list[CatalogTool]:
    """Take tools from the whole catalog at even distances: the same ones each time."""
    entries = [entry for entry in catalog.tools.values() if entry.server_id != OWN_SERVER_ID]
    count = min(SAMPLE, len(entries))
    return [entries[number * len(entries) // count] for number in range(count)]


def _request(entry: CatalogTool) -> str:
    sentence = _SENTENCE_END.split(entry.tool.description.strip(), maxsplit=1)[0].strip().rstrip(".")
    return " ".join(sentence[:_MAX_QUERY_CHARS].split()) or words_of(entry.tool.name)


def _literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
