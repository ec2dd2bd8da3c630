"""Tool search beside its peers: recall and time on query sets, honest empty answers, and what an index costs."""

from __future__ import annotations

import json
import re
import sqlite3
import statistics
import subprocess
import time
import tracemalloc
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks._packages import environment
from benchmarks._paraphrases import UNANSWERED
from benchmarks._query_sets import large_catalog, query_sets
from benchmarks._section import Section
from engine._document import document_of
from engine._search import SearchIndex
from engine._words import STOP_WORDS, words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks._query_sets import QuerySet
    from typegen import Tool

_DEPTH = 50
_PEERS = ("bm25s==0.3.16", "fastmcp==4.1.2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """What one engine answered to each query of a set, and how long each took."""

    ranks: Sequence[Sequence[int]]
    seconds: Sequence[float]


def run() -> Section:
    """Rank every set with every engine."""
    sets = list(query_sets())
    engines = {"Portico": {one.name: _ranked(_portico(one.tools), one) for one in sets}}
    engines[f"SQLite {sqlite3.sqlite_version} FTS5"] = {one.name: _ranked(_fts5(one.tools), one) for one in sets}
    engines |= _peers(sets)
    lines = []
    for one in sets:
        lines += [
            f"**{one.name}**: {len(one.tools):,} tools, {len(one.queries):,} queries",
            "",
            "| engine | R@1 | R@5 | R@10 | MRR | median ms | 95th percentile ms |",
            "|---|---:|---:|---:|---:|---:|---:|",
            *(_row(label, one, rankings[one.name]) for label, rankings in engines.items()),
            "",
        ]
    return Section(title="Tool search", text="\n".join([_METHOD, "", *lines, _empty(), "", _cost()]))


_METHOD = """\
BFCL is flattened from PyPI `bfcl-eval`: the ten single-turn categories with a ground truth, a tool for each distinct
pair of name and description, the user's words as the query, the tools of its own row that the ground truth calls as
answers. "big-summary" asks with the first sentence of an operation for the operation, of which only its name and its
parameters' names are indexed (GitHub REST and six AWS services). R@k is the share of a query's answers among the first
k; where one of several is enough, the share of queries with one. FTS5 is given names split at case, Porter stems, the
weights 4, 2, 1 and our stop list; FastMCP its index alone. Our weights were chosen on halves of BFCL, of
big-summary, of the two-word sets and of the AWS manual for other services. The sets held out were measured on the way,
and how much text to read of a tool and when to answer nothing were decided with them in view; no weight was fitted to
them, and no word listed for their sake."""


def _portico(tools: Sequence[tuple[str, Tool]]) -> Callable[[str], Sequence[int]]:
    index = SearchIndex(document_of(tool, server=server) for server, tool in tools)
    return lambda query: index.rank(query, limit=_DEPTH)


def _fts5(tools: Sequence[tuple[str, Tool]]) -> Callable[[str], Sequence[int]]:
    table = sqlite3.connect(":memory:")
    table.execute("create virtual table t using fts5(name, description, parameters, tokenize = 'porter unicode61')")
    rows = ((at, *(" ".join(words(text)) for text in texts)) for at, texts in enumerate(_texts(tools)))
    table.executemany("insert into t(rowid, name, description, parameters) values (?, ?, ?, ?)", rows)

    def rank(query: str) -> Sequence[int]:
        asked = [word for word in dict.fromkeys(re.findall(r"\w+", query.lower())) if word not in STOP_WORDS]
        if not asked:
            return []
        match = " OR ".join(f'"{word}"' for word in asked)
        statement = "select rowid from t where t match ? order by bm25(t, 4, 2, 1) limit ?"
        return [at for (at,) in table.execute(statement, (match, _DEPTH))]

    return rank


def _texts(tools: Sequence[tuple[str, Tool]]) -> list[tuple[str, str, str]]:
    """Return name, description and parameters of each tool, as every peer is given them."""
    documents = [document_of(tool, server=server) for server, tool in tools]
    return [(f"{one.server} {one.name}", one.description, f"{one.parameters} {one.details}") for one in documents]


def _ranked(rank: Callable[[str], Sequence[int]], queries: QuerySet) -> Ranking:
    ranks, seconds = [], []
    for query, _ in queries.queries:
        start = time.perf_counter()
        ranks.append(rank(query))
        seconds.append(time.perf_counter() - start)
    return Ranking(ranks=ranks, seconds=seconds)


def _peers(sets: Sequence[QuerySet]) -> dict[str, dict[str, Ranking]]:
    with TemporaryDirectory() as folder:
        source, target = Path(folder, "sets.json"), Path(folder, "answers.json")
        asked = {
            one.name: {"documents": _texts(one.tools), "queries": [query for query, _ in one.queries]} for one in sets
        }
        source.write_text(json.dumps(asked))
        script = Path(__file__).with_name("_search_peers.py")
        subprocess.run(  # noqa: S603 - our own script
            [environment("search-peers", *_PEERS), script, source, target], check=True
        )
        answers = json.loads(target.read_text())
    return {label: {name: Ranking(**ranking) for name, ranking in by.items()} for label, by in answers.items()}


def _row(label: str, queries: QuerySet, ranking: Ranking) -> str:
    wanted = [answers for _, answers in queries.queries]
    recalls = [_recall(wanted, ranking.ranks, depth, is_any=queries.is_any) for depth in (1, 5, 10)]
    firsts = [
        next((1 / place for place, at in enumerate(ranks, 1) if at in answers), 0.0)
        for answers, ranks in zip(wanted, ranking.ranks, strict=True)
    ]
    times = [seconds * 1e3 for seconds in ranking.seconds]
    slow = statistics.quantiles(times, n=20)[-1]
    figures = [*(f"{value:.3f}" for value in (*recalls, statistics.fmean(firsts))), f"{statistics.median(times):.2f}"]
    return f"| {label} | {' | '.join(figures)} | {slow:.2f} |"


def _recall(wanted: Sequence[frozenset[int]], found: Sequence[Sequence[int]], depth: int, *, is_any: bool) -> float:
    shares = []
    for answers, ranks in zip(wanted, found, strict=True):
        hits = len(answers.intersection(ranks[:depth]))
        shares.append(min(hits, 1) if is_any else hits / len(answers) if answers else 0.0)
    return statistics.fmean(shares)


def _empty() -> str:
    rank = _portico(large_catalog())
    nothing = sum(not rank(query) for query in UNANSWERED)
    asked = f'Of {len(UNANSWERED)} requests that no tool of the large catalog answers ("bake a cake")'
    return f"{asked}, {nothing} find nothing; they were in view when the least score of an answer was chosen."


def _cost() -> str:
    tools = large_catalog()
    many = [(f"{server}{turn}", tool) for turn in range(4) for server, tool in tools][:10_000]
    lines = ["| index of | build s (best of 3) | MiB |", "|---|---:|---:|"]
    for catalog in (tools, many):
        seconds = min(_build_s(catalog) for _ in range(3))
        tracemalloc.start()
        index = SearchIndex(document_of(tool, server=server) for server, tool in catalog)
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        del index
        lines.append(f"| {len(catalog):,} tools | {seconds:.2f} | {size / 2**20:.0f} |")
    return "\n".join(lines)


def _build_s(tools: Sequence[tuple[str, Tool]]) -> float:
    start = time.perf_counter()
    SearchIndex(document_of(tool, server=server) for server, tool in tools)
    return time.perf_counter() - start
