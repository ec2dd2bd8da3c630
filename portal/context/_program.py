"""What a program costs in code mode, and what its tool calls would have cost made directly, one after the other."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from engine import QUERIES_AT_ONCE
from portal._errors import PortalError
from portal.context._discovery import words_of
from portal.context._ledger import Bill, Exchange, bill, compact
from portal.context._lists import definitions_in
from portal.server import Mode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine import Engine, Invoker, RunRecord, ToolCall
    from portal.server import Listing
    from typegen import JsonObject

_FOUND_BY_EACH: Final = 2  # what one of several queries at once brings: the tool, and one to weigh it against


class ProgramFailed(PortalError):  # noqa: N818 -- named for what happened, as the portal's other errors are
    """Raised when the program to be measured failed; ``answer`` is what an agent would have got."""

    def __init__(self, answer: str) -> None:
        super().__init__(f"the program failed, so that there is nothing to compare:\n{answer}")
        self.answer = answer


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramCost:
    """One job both ways: as two calls of ``code`` (find the tools, run the program), and as the program's tool calls.

    ``direct`` counts what a model would have written and read to make the very calls that the program made: those that
    the program had under way together are one turn. ``one_by_one`` is the same with a turn for each call.
    """

    source: str
    search: str
    answer: str
    calls: tuple[tuple[str, int], ...]
    code: Bill
    direct: Bill
    one_by_one: Bill


async def program_cost(
    source: str,
    *,
    engine: Engine,
    listing: Listing,
    invoker: Invoker,
    queries: Sequence[str] = (),
    encoding: str,
    on_end: Callable[[RunRecord], None] | None = None,
) -> ProgramCost:
    """Run ``source`` once, really, and count both ways. Raises ``ProgramFailed``.

    Its tools are looked for with ``queries``, else with the words of their names.
    """
    watch = _Watch(invoker, listing)
    answer = await engine.code(source, catalog=listing.catalog, invoker=watch, on_end=on_end)
    if answer.is_error:
        raise ProgramFailed(answer.text)
    turns = [[Exchange(tool="code", arguments={"code": source}, answer=answer.text)]]
    search = _search_program(requests) if (requests := queries or watch.requests()) else ""
    if search:
        found = await engine.code(search, catalog=listing.catalog, invoker=invoker)
        turns.insert(0, [Exchange(tool="code", arguments={"code": search}, answer=found.text)])
    tools = definitions_in(listing, Mode.LIST)
    return ProgramCost(
        source=source,
        search=search,
        answer=answer.text,
        calls=tuple(watch.counts().most_common()),
        code=bill(definitions_in(listing, Mode.CODE), turns, encoding=encoding),
        direct=bill(tools, watch.turns, encoding=encoding),
        one_by_one=bill(tools, [[exchange] for turn in watch.turns for exchange in turn], encoding=encoding),
    )


class _Watch:
    """An invoker that passes calls on and keeps, by turn, what a model would have written and read to make them."""

    def __init__(self, invoker: Invoker, listing: Listing) -> None:
        self._invoker = invoker
        self._listing = listing
        self._turn_of_program = 0
        self._has_answer = True
        self._turns: list[list[_Made]] = []

    async def __call__(self, call: ToolCall) -> JsonObject:
        # Nothing has come back since the turn began, or nothing had when the program made this call: it belongs to it.
        if self._has_answer and call.turn > self._turn_of_program:
            self._turns.append([])
            self._has_answer = False
        self._turn_of_program = call.turn
        made = _Made(call=call, tool=self._listing.listed_name_of(call.entry))
        self._turns[-1].append(made)
        try:
            result = await self._invoker(call)
            made.answer = text_of(result)
        except Exception as error:
            made.answer = str(error)
            raise
        finally:
            self._has_answer = True
        return result

    @property
    def turns(self) -> list[list[Exchange]]:
        return [
            [Exchange(tool=made.tool, arguments=made.call.arguments, answer=made.answer) for made in turn]
            for turn in self._turns
        ]

    def counts(self) -> Counter[str]:
        return Counter(made.tool for turn in self._turns for made in turn)

    def requests(self) -> list[str]:
        """Return the words of the name of each tool that was called, in the order of their first calls."""
        return list(dict.fromkeys(words_of(made.call.entry.tool.name) for turn in self._turns for made in turn))


@dataclass(slots=True, kw_only=True)
class _Made:
    call: ToolCall
    tool: str
    answer: str = ""


def text_of(result: JsonObject) -> str:
    """Return what a model reads of an MCP result: its text; where it has none, its structured content.

    Images and other blocks are not counted.
    """
    content = result.get("content")
    blocks = content if isinstance(content, list) else []
    texts = [str(block.get("text", "")) for block in blocks if isinstance(block, dict) and block.get("type") == "text"]
    if not texts and "structuredContent" in result:
        return compact(result["structuredContent"])
    return "\n".join(texts)


def _search_program(queries: Sequence[str]) -> str:
    parts = [queries[at : at + QUERIES_AT_ONCE] for at in range(0, len(queries), QUERIES_AT_ONCE)]
    searches = [_search(part) for part in parts]
    return searches[0] if len(searches) == 1 else f"(await Promise.all([{', '.join(searches)}])).flat()"


def _search(queries: Sequence[str]) -> str:
    return f"codemode.search({json.dumps(list(queries), ensure_ascii=False)}, {{ limit: {_FOUND_BY_EACH} }})"
