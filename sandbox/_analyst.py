"""The analyst process: reads programs and says what they call, so that no other process parses untrusted text.

Sealed like a worker and apart from the workers: a text that crashes the parser, or makes it slow, costs no run.
"""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import tree_sitter
import tree_sitter_typescript

from sandbox import _frames as frames
from sandbox._call_sites import call_site, rebinds
from sandbox._erasure import Erasure
from sandbox._frames import Kind
from sandbox._link import Link
from sandbox._seal import seal_after_threads, seal_before_threads

if TYPE_CHECKING:
    from tree_sitter import Node

    from sandbox._json import JsonObject, JsonValue

_MOST_NODES = 200_000
"""A program of 64 KiB has some 30,000; past this nothing is said."""
_MOST_SITES = 1_000


def main(descriptor: str, data_bytes: str) -> None:
    """Serve the portal's requests over the inherited socket until it closes."""
    connection = socket.socket(fileno=int(descriptor))
    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_typescript.language_typescript()))
    layers = seal_before_threads(data_bytes=int(data_bytes)) + seal_after_threads()
    link = Link(connection)
    link.send(frames.encode(Kind.READY, 0, json.dumps({"layers": [asdict(layer) for layer in layers]}).encode()))
    try:
        while True:
            frame = link.next_frame(None)
            if frame is not None:
                _, number, payload = frame
                began_ns = time.process_time_ns()
                namespace, source = frames.decode_analyse(payload)
                found = analyse(parser, source, namespace)
                found["cpu_us"] = (time.process_time_ns() - began_ns) // 1_000
                facts = json.dumps(found, ensure_ascii=False)
                link.send(frames.encode(Kind.ANALYSIS, number, facts.encode("utf-8", "replace")))
    except (EOFError, OSError):
        os._exit(0)  # the portal has gone; there is nothing to clean up


def analyse(parser: tree_sitter.Parser, source: bytes, namespace: bytes) -> JsonObject:
    """Return the facts of one program: ``{"erased", "refused", "calls", "rebinds"}``; see ``ProgramFacts``."""
    erasure = Erasure(source)
    calls: list[JsonValue] = []
    is_rebound = False
    place = _Places(source)
    cursor = parser.parse(source).walk()
    for _ in range(_MOST_NODES):
        node = cursor.node
        if node is None:
            break
        descends = erasure.visit(node) if node.is_named else False
        if node.type == "call_expression" and len(calls) < _MOST_SITES:
            site = call_site(node, namespace)
            if site is not None:
                line, column = place.of(int(str(site.pop("at"))))
                calls.append({**site, "line": line, "column": column})
        elif not is_rebound and node.type in {"identifier", "shorthand_property_identifier_pattern"}:
            is_rebound = rebinds(node, namespace)
        if descends and cursor.goto_first_child():
            continue
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                return _facts(erasure, calls, place, is_rebound=is_rebound)
    return {"erased": None, "refused": [], "calls": [], "rebinds": True}


def _facts(erasure: Erasure, calls: list[JsonValue], place: _Places, *, is_rebound: bool) -> JsonObject:
    refused: list[JsonValue] = [_refusal(node, advice, place) for node, advice in erasure.refused]
    return {"erased": erasure.text(), "refused": refused, "calls": calls, "rebinds": is_rebound}


def _refusal(node: Node, advice: str, place: _Places) -> JsonValue:
    line, column = place.of(node.start_byte)
    return {"line": line, "column": column, "message": advice}


class _Places:
    """Byte offsets of a source as lines and columns, both counted from 1, columns in characters."""

    def __init__(self, source: bytes) -> None:
        self._source = source

    def of(self, offset: int) -> tuple[int, int]:
        line_start = self._source.rfind(b"\n", 0, offset) + 1
        column = len(self._source[line_start:offset].decode("utf-8", "replace"))
        return self._source.count(b"\n", 0, offset) + 1, column + 1
