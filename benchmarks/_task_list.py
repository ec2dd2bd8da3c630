"""The tasks: each as a question, as what a model sends in code mode, and as the direct calls that it would make.

Both ways are written by hand, by somebody who knew the answers. A program makes no use of what only its author
knows: a text whose form neither the question nor a declaration tells is looked at in an earlier call, or read in
whatever form it comes.
"""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portal.showcase._caller import CallFailed, text_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from engine import JsonObject, JsonValue
    from portal.showcase._caller import Caller

    _Call = tuple[str, JsonObject]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One question and both ways to its answer.

    ``queries`` find the tools in code mode, and ``programs`` are sent one after the other. ``directly`` makes the
    direct calls and answers in the place of the model, which would read everything and work it out in its head. The
    answer is what ``read`` makes of the last program's text, or for both ways of the file ``written``. ``is_control``
    marks a task whose data is small without code mode too.
    """

    id: str
    question: str
    queries: tuple[str, ...]
    programs: tuple[str, ...]
    directly: Callable[[Caller], Awaitable[JsonValue]]
    read: Callable[[str], JsonValue] = json.loads
    written: str | None = None
    is_control: bool = False

    @property
    def discovery(self) -> str:
        """The program that finds the tools."""
        return f"async () => codemode.search({json.dumps(self.queries)}, {{ limit: {_FOUND_BY_EACH} }})"


def task_list(numbers: Iterable[int]) -> tuple[Task, ...]:
    """Return the eight tasks; ``numbers`` are those to be added."""
    return (_T1, _T2, _T3, _T4, _T5, _T6, _T7, _addition(tuple(numbers)))


_FOUND_BY_EACH: Final = 2  # the tool, and one to weigh it against
_SHOWN_AT_ONCE: Final = 5  # commits that a model opens in one turn while it looks for one

_FILES: Final = ("list the files in a directory", "read a text file")
_LOG_FORM: Final = "Each line is `<time> <LEVEL> <part>: <event>`."
_COUNTING: Final = """\
  const { content: listing } = await codemode.files_list_directory({ path: "logs" });
  const counts = await Promise.all(listing.match(/\\S+\\.log\\b/g).map(async (name) => {
    const { content } = await codemode.files_read_text_file({ path: `logs/${name}` });
    return [name, content.split("\\n").filter((line) => line.split(" ")[1] === "ERROR").length];
  }));"""


async def _count_errors(caller: Caller) -> dict[str, int]:
    (listing,) = await _ask(caller, ("files_list_directory", {"path": "logs"}))
    names = re.findall(r"\S+\.log\b", listing)
    logs = await _ask(caller, *(_reading(f"logs/{name}") for name in names))
    levels = [[line.split()[1] for line in log.splitlines()] for log in logs]
    return {name: found.count("ERROR") for name, found in zip(names, levels, strict=True)}


async def _every_count(caller: Caller) -> JsonObject:
    return {**await _count_errors(caller)}


async def _highest_count(caller: Caller) -> str:
    counts = await _count_errors(caller)
    return max(counts, key=lambda name: counts[name])


_T1: Final = Task(
    id="T1",
    question=f"Count the lines of level ERROR in every file under logs/. {_LOG_FORM}",
    queries=_FILES,
    programs=(f"async () => {{\n{_COUNTING}\n  return Object.fromEntries(counts);\n}}",),
    directly=_every_count,
)

_T2: Final = Task(
    id="T2",
    question=f"Which file under logs/ has the most lines of level ERROR? {_LOG_FORM}",
    queries=_FILES,
    programs=(f"async () => {{\n{_COUNTING}\n  return counts.sort((a, b) => b[1] - a[1])[0][0];\n}}",),
    directly=_highest_count,
    read=str,
)


async def _sum_per_region(caller: Caller) -> None:
    (listing,) = await _ask(caller, ("files_list_directory", {"path": "csv"}))
    names = re.findall(r"\S+\.csv\b", listing)
    tables = await _ask(caller, *(_reading(f"csv/{name}") for name in names))
    cents: Counter[str] = Counter()
    for table in tables:
        for line in table.splitlines()[1:]:
            _, region, _, amount = line.split(",")
            cents[region] += int(amount.replace(".", ""))
    totals = json.dumps({region: total / 100 for region, total in cents.items()})
    await _ask(caller, ("files_write_file", {"path": "out/totals.json", "content": totals}))


_T3: Final = Task(
    id="T3",
    question=(
        "Sum amount per region over all csv/*.csv (date, region, product, amount; no quotes) and write the totals, "
        "with two decimals, to out/totals.json as an object."
    ),
    queries=(*_FILES, "write a file"),
    programs=(
        """\
async () => {
  const { content: listing } = await codemode.files_list_directory({ path: "csv" });
  const totals = {};
  await Promise.all(listing.match(/\\S+\\.csv\\b/g).map(async (name) => {
    const { content } = await codemode.files_read_text_file({ path: `csv/${name}` });
    for (const line of content.trim().split("\\n").slice(1)) {
      const [, region, , amount] = line.split(",");
      totals[region] = (totals[region] ?? 0) + Number(amount);
    }
  }));
  for (const region in totals) totals[region] = Math.round(totals[region] * 100) / 100;
  await codemode.files_write_file({ path: "out/totals.json", content: JSON.stringify(totals) });
  return totals;
}""",
    ),
    directly=_sum_per_region,
    written="out/totals.json",
)


async def _commits_per_author(caller: Caller) -> JsonObject:
    (log,) = await _ask(caller, ("git_git_log", {"repo_path": "repo", "max_count": 1000}))
    return {**Counter(re.findall(r"^Author: (.+)$", log, re.MULTILINE))}


_T4: Final = Task(
    id="T4",
    question="How many commits does each author have in the git repository repo/?",
    queries=("commit log of a repository",),
    programs=(
        'async () => codemode.git_git_log({ repo_path: "repo", max_count: 1 })',
        """\
async () => {
  const log = await codemode.git_git_log({ repo_path: "repo", max_count: 1000 });
  const counts = {};
  for (const [, author] of log.matchAll(/^Author: (.+)$/gm)) counts[author] = (counts[author] ?? 0) + 1;
  return counts;
}""",
    ),
    directly=_commits_per_author,
)


async def _find_leak(caller: Caller) -> str:
    (log,) = await _ask(caller, ("git_git_log", {"repo_path": "repo", "max_count": 1000}))
    commits = re.findall(r"\b[0-9a-f]{40}\b", log)
    for at in range(0, len(commits), _SHOWN_AT_ONCE):
        handful = commits[at : at + _SHOWN_AT_ONCE]
        shown = await _ask(caller, *(("git_git_show", {"repo_path": "repo", "revision": one}) for one in handful))
        for commit, text in zip(handful, shown, strict=True):
            if re.search(r"^\+API_KEY=", text, re.MULTILINE):
                return str(commit)
    return "none"


_T5: Final = Task(
    id="T5",
    question="Which commit in repo/ added a line that starts with API_KEY=? Answer with its full hash.",
    queries=("commit log of a repository", "show a commit"),
    programs=(
        """\
async () => {
  const log = await codemode.git_git_log({ repo_path: "repo", max_count: 1000 });
  for (const revision of log.match(/\\b[0-9a-f]{40}\\b/g)) {
    const shown = await codemode.git_git_show({ repo_path: "repo", revision });
    if (/^\\+API_KEY=/m.test(shown)) return revision;
  }
}""",
    ),
    directly=_find_leak,
    read=str,
)

_TABLES: Final = "SELECT sql FROM sqlite_master WHERE type = 'table'"
_SPEND: Final = (
    "SELECT c.name, SUM(i.quantity * i.price_cents) AS cents FROM customers c JOIN orders o ON o.customer_id = c.id "
    "JOIN items i ON i.order_id = o.id GROUP BY c.id ORDER BY cents DESC LIMIT 3"
)


def _query_program(query: str) -> str:
    return f"async () => codemode.database_read_query({{ query: {json.dumps(query)} }})"


async def _best_customers(caller: Caller) -> JsonValue:
    await _ask(caller, ("database_read_query", {"query": _TABLES}))
    (rows,) = await _ask(caller, ("database_read_query", {"query": _SPEND}))
    return _rows(rows)


def _rows(text: str) -> JsonValue:
    """Read rows as the server writes them, which is how Python does."""
    rows: JsonValue = ast.literal_eval(text)
    return rows


_T6: Final = Task(
    id="T6",
    question="Who are the top three customers of the database by spend, in cents?",
    queries=("query a SQLite database",),
    programs=(_query_program(_TABLES), _query_program(_SPEND)),
    directly=_best_customers,
    read=_rows,
    is_control=True,
)

_PER_COUNTRY: Final = "SELECT country, COUNT(*) AS customers FROM customers GROUP BY country ORDER BY country"


async def _write_countries(caller: Caller) -> None:
    (rows,) = await _ask(caller, ("database_read_query", {"query": _PER_COUNTRY}))
    lines = re.findall(r"'country': '(\w+)', 'customers': (\d+)", rows)
    content = "".join(f"{country},{customers}\n" for country, customers in [("country", "customers"), *lines])
    await _ask(caller, ("files_write_file", {"path": "out/countries.csv", "content": content}))


_T7: Final = Task(
    id="T7",
    question=(
        "Count the customers per country in the database (table customers, column country) and write them to "
        "out/countries.csv under the header country,customers, by country."
    ),
    queries=("query a SQLite database", "write a file"),
    programs=(
        _query_program(_PER_COUNTRY),
        f"""\
async () => {{
  const rows = await codemode.database_read_query({{ query: {json.dumps(_PER_COUNTRY)} }});
  const lines = [...rows.matchAll(/'country': '(.*?)', 'customers': (\\d+)/g)].map(([, ...row]) => row.join(","));
  const content = ["country,customers", ...lines, ""].join("\\n");
  return codemode.files_write_file({{ path: "out/countries.csv", content }});
}}""",
    ),
    directly=_write_countries,
    read=str,
    written="out/countries.csv",
    is_control=True,
)


def _addition(numbers: tuple[int, ...]) -> Task:
    async def add_in_pairs(caller: Caller) -> int:
        left = list(numbers)
        while len(left) > 1:
            pairs = list(zip(left[::2], left[1::2], strict=False))
            sums = await _ask(caller, *(_adding(a, b) for a, b in pairs))
            left = [int(re.findall(r"-?\d+", text)[-1]) for text in sums] + left[2 * len(pairs) :]
        return left[0]

    program = f"""\
async () => {{
  let sum = 0;
  for (const b of {json.dumps(numbers)}) {{
    sum = Number((await codemode.everything_get_sum({{ a: sum, b }})).match(/-?\\d+/g).at(-1));
  }}
  return sum;
}}"""
    return Task(
        id="T11",
        question=f"Add these {len(numbers)} numbers with the tool that adds two: {', '.join(map(str, numbers))}.",
        queries=("add two numbers",),
        programs=(program,),
        directly=add_in_pairs,
    )


def _reading(path: str) -> _Call:
    return "files_read_text_file", {"path": path}


def _adding(a: int, b: int) -> _Call:
    return "everything_get-sum", {"a": a, "b": b}


async def _ask(caller: Caller, *calls: _Call) -> list[str]:
    """Make ``calls`` in one turn and return the texts. Raises ``CallFailed``."""
    results = await caller.batch(calls)
    for (tool, _), result in zip(calls, results, strict=True):
        if result.is_error:
            raise CallFailed(tool, text_of(result))
    return [text_of(result) for result in results]
