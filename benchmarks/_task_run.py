"""Do the tasks both ways through a running portal, and count what was written and read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import anyio
from mcp import Client

from benchmarks._task_data import TaskData, make_data
from benchmarks._task_list import Task, task_list
from benchmarks._task_servers import configuration
from portal.context import Bill, Exchange, bill
from portal.server import OWN_SERVER_ID
from portal.showcase._caller import Caller, CallFailed, text_of
from tests.acceptance._running import serving

if TYPE_CHECKING:
    from engine import JsonObject, JsonValue

_CALL_TIMEOUT_S: Final = 60.0  # milliseconds in truth; this is for a machine that does something else as well


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """What one way to do a task answered, and the calls that the model made, by turn."""

    definitions: tuple[JsonObject, ...]
    turns: tuple[tuple[Exchange, ...], ...]
    answer: JsonValue

    @property
    def bill(self) -> Bill:
        """The tokens, where independent calls are made in one turn."""
        return bill(self.definitions, self.turns)

    @property
    def payload(self) -> int:
        """The tokens that the model writes in calls and reads in answers."""
        return self.bill.written + self.bill.read

    @property
    def bill_one_by_one(self) -> Bill:
        """The tokens, where each call is a turn."""
        return bill(self.definitions, [[exchange] for turn in self.turns for exchange in turn])


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One task done both ways; ``tools`` are those that the programs called, with how often."""

    task: Task
    gold: JsonValue
    code: Way
    direct: Way
    tools: Counter[str]


def measure() -> list[Measured]:
    """Make the data, start a portal over it as an operator does, and do every task both ways.

    The portal remembers nothing from before, and nothing is left behind. Raises ``CallFailed`` where a call fails.
    """
    with TemporaryDirectory() as name:
        folder = Path(name, "work")
        folder.mkdir()
        data = make_data(folder)
        with serving(configuration(data), Path(name), environ={"PORTICO_DATA_DIR": f"{name}/data"}) as portal:
            return anyio.run(_measure, data, portal.url, portal.code_mode_url)


async def _measure(data: TaskData, list_url: str, code_url: str) -> list[Measured]:
    tasks = task_list(data.numbers)
    measured = []
    async with (
        Client(list_url, read_timeout_seconds=_CALL_TIMEOUT_S) as lists,
        Client(code_url, read_timeout_seconds=_CALL_TIMEOUT_S) as codes,
    ):
        # The portal's own tools are left out, in favour of direct calls: without a portal there are none.
        offered = [one for one in await _definitions(lists) if not str(one["name"]).startswith(f"{OWN_SERVER_ID}_")]
        code_tool = await _definitions(codes)
        # Every search before any program: none is told of result types that the portal learned from another task.
        searched = [await _search(task, Caller(codes)) for task in tasks]
        for task, caller in zip(tasks, searched, strict=True):
            answer, tools = await _in_code_mode(task, data.folder, caller)
            code = _way(code_tool, caller, answer)
            directly = Caller(lists)
            direct = _way(offered, directly, await _directly(task, data.folder, directly))
            measured.append(Measured(task=task, gold=data.gold[task.id], code=code, direct=direct, tools=tools))
    return measured


async def _search(task: Task, caller: Caller) -> Caller:
    await caller.call("code", {"code": task.discovery})
    return caller


async def _in_code_mode(task: Task, folder: Path, caller: Caller) -> tuple[JsonValue, Counter[str]]:
    """Send the programs and return the answer, and how often they called each tool."""
    tools: Counter[str] = Counter()
    text = ""
    for program in task.programs:
        result = await caller.call("code", {"code": program})
        text = text_of(result)
        tools.update(_calls_of(result.meta or {}))
    return task.read(_take(folder / task.written) if task.written else text), tools


async def _directly(task: Task, folder: Path, caller: Caller) -> JsonValue:
    answer = await task.directly(caller)
    return task.read(_take(folder / task.written)) if task.written else answer


def _way(definitions: list[JsonObject], caller: Caller, answer: JsonValue) -> Way:
    return Way(definitions=tuple(definitions), turns=tuple(tuple(turn) for turn in caller.turns), answer=answer)


def _take(path: Path) -> str:
    """Return a file's text and remove it: the other way has to write its own."""
    text = path.read_text()
    path.unlink()
    return text


def _calls_of(meta: JsonObject) -> dict[str, int]:
    """Return how often a program called each tool, as the portal's record of the run says."""
    run = meta.get("portico/run")
    tools = run.get("tools") if isinstance(run, dict) else None
    if not isinstance(tools, dict):
        raise CallFailed("code", "the answer has no record of its run")
    return {name: count for name, count in tools.items() if isinstance(count, int)}


async def _definitions(client: Client) -> list[JsonObject]:
    return [tool.model_dump(mode="json", by_alias=True) for tool in (await client.list_tools()).tools]
