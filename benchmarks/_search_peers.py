"""Rank and time as bm25s and FastMCP do; run in an environment of their own, with files to read and to write.

Each set is ``{"documents": [[name, description, parameters], ...], "queries": [...]}`` and answered per engine with
``{"ranks": [[number, ...], ...], "seconds": [...]}``. FastMCP is measured by the index inside its search transform: the
rest of its search, which reads every tool anew for each query, is left out in its favour.
"""

from __future__ import annotations

import json
import re
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import bm25s
from fastmcp.server.transforms.search.bm25 import _BM25Index

if TYPE_CHECKING:
    from collections.abc import Iterator

Ranked = tuple[list[int], float]
DEPTH = 50
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def split(text: str) -> str:
    """Split at case and separators, as we do."""
    return " ".join(WORD.findall(text))


def by_bm25s(documents: list[list[str]], queries: list[str]) -> Iterator[Ranked]:
    """Rank with bm25s and its English stop list, names split."""
    index = bm25s.BM25()
    texts = [split(" ".join(document)) for document in documents]
    index.index(bm25s.tokenize(texts, stopwords="en", show_progress=False), show_progress=False)
    for query in queries:
        start = time.perf_counter()
        tokens = bm25s.tokenize([split(query)], stopwords="en", show_progress=False, return_ids=False)
        known = [[token for token in tokens[0] if token in index.vocab_dict]]
        ranks, scores = (
            index.retrieve(known, k=min(DEPTH, len(documents)), show_progress=False) if known[0] else ([[]], [[]])
        )
        positive = [int(at) for at, score in zip(ranks[0], scores[0], strict=True) if score > 0]
        yield positive, time.perf_counter() - start


def by_fastmcp(documents: list[list[str]], queries: list[str]) -> Iterator[Ranked]:
    """Rank with FastMCP's own BM25."""
    index = _BM25Index()
    index.build([" ".join(document) for document in documents])
    for query in queries:
        start = time.perf_counter()
        yield index.query(query, DEPTH), time.perf_counter() - start


def main(source: str, target: str) -> None:
    """Answer every set with both."""
    engines = {
        f"bm25s {version('bm25s')}, names split": by_bm25s,
        f"FastMCP {version('fastmcp')} BM25": by_fastmcp,
    }
    answers: dict[str, dict[str, dict[str, list[object]]]] = {}
    for label, rank in engines.items():
        for name, queries in json.loads(Path(source).read_text()).items():
            found = list(rank(queries["documents"], queries["queries"]))
            answers.setdefault(label, {})[name] = {
                "ranks": [ranks for ranks, _ in found],
                "seconds": [seconds for _, seconds in found],
            }
    Path(target).write_text(json.dumps(answers))


main(*sys.argv[1:])
