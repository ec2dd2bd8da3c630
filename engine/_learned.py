"""Result types of tools that give no output schema, learned from what the tools returned."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol
from weakref import WeakKeyDictionary

from typegen import learn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine._catalog import CatalogTool
    from typegen import JsonValue, ResultShape, Tool

MAX_SHAPES: Final = 10_000
"""Kept in memory at once; far more than the tools of one portal, and at most about 30 KB each."""
SETTLED_AFTER: Final = 16
"""Results in a row that showed nothing new, after which only some are looked at."""
LOOK_EVERY: Final = 32
"""Of a settled tool's results one in so many is looked at."""

_SAYING_NOTHING: Final = frozenset({"$schema", "title", "description", "type", "additionalProperties"})


class LearnedKey(NamedTuple):
    """What a shape was learned from: a tool with that input schema, in a scope.

    ``scope`` is empty where every user calls the server with one account, else it names the account. ``schema_hash`` is
    the tool's ``input_digest``: where the input schema changes, the result may have changed as well.
    """

    scope: str
    server_id: str
    tool: str
    schema_hash: str


class LearnedTypes(Protocol):
    """Where learned shapes live. Asked on the hot path: it answers from memory, and whoever keeps them writes later.

    A shape as JSON is ``shape.as_schema()``, and ``ResultShape.from_schema(...)`` reads it back.
    """

    def get(self, key: LearnedKey) -> ResultShape | None:
        """Return what was learned: the same object until another is put."""
        ...

    def put(self, key: LearnedKey, shape: ResultShape) -> None:
        """Keep ``shape``, which is as wide as what was learned before or wider.

        Where several processes learn, each keeps ``shape.joined(known)``.
        """
        ...


class MemoryLearnedTypes:
    """Keeps shapes in this process; of more than ``MAX_SHAPES`` those learned first go first."""

    def __init__(self) -> None:
        self._shapes: OrderedDict[LearnedKey, ResultShape] = OrderedDict()

    def get(self, key: LearnedKey) -> ResultShape | None:
        """Return what was learned."""
        return self._shapes.get(key)

    def put(self, key: LearnedKey, shape: ResultShape) -> None:
        """Keep ``shape``."""
        self._shapes[key] = shape
        if len(self._shapes) > MAX_SHAPES:
            self._shapes.popitem(last=False)


class Learner:
    """Learns from results, and declares tools with what was learned. One for all callers of an engine."""

    def __init__(self, types: LearnedTypes) -> None:
        self._types = types
        self._equal_results: OrderedDict[LearnedKey, int] = OrderedDict()
        # Weak: what was learned of a tool is told of it as long as a catalog has it.
        self._tools: WeakKeyDictionary[Tool, dict[LearnedKey, tuple[ResultShape, Tool]]] = WeakKeyDictionary()
        self._tools_made = 0

    def learn(self, key: LearnedKey, value: JsonValue) -> None:
        """Learn from one result; once a shape has settled, from some of them."""
        equal_results = self._equal_results.get(key, 0)
        if equal_results > SETTLED_AFTER and equal_results % LOOK_EVERY:
            self._equal_results[key] = equal_results + 1
            return
        known = self._types.get(key)
        shape = learn(known, value)
        if shape is known:
            self._equal_results[key] = equal_results + 1
            return
        self._types.put(key, shape)
        self._equal_results[key] = 0
        if len(self._equal_results) > MAX_SHAPES:
            self._equal_results.popitem(last=False)

    def learned(self, key: LearnedKey, tool: Tool) -> Tool:
        """Return ``tool`` with the output schema that was learned for it; as it is where none was."""
        shape = self._types.get(key)
        if shape is None:
            return tool
        by_key = self._tools.get(tool, {})
        known = by_key.get(key)
        if known is None or known[0] is not shape:
            self._tools_made += 1
            if self._tools_made % MAX_SHAPES == 0:
                self._tools.clear()
            known = (shape, replace(tool, output_schema=shape.as_schema(), is_output_learned=True))
            self._tools.setdefault(tool, {})[key] = known
        return known[1]


class LearnedView:
    """What one caller's results may teach, and what the caller is shown of it.

    ``accounts`` names, by server id, the account with which this caller calls a server: where there is one, what is
    learned from the server's results is shown to that account only.
    """

    def __init__(self, learner: Learner, accounts: Mapping[str, str]) -> None:
        self._learner = learner
        self._accounts = accounts

    def learn(self, entry: CatalogTool, value: JsonValue) -> None:
        """Learn from an unwrapped result of ``entry``, unless its server says what it returns."""
        if not declares_output(entry.tool):
            self._learner.learn(self._key(entry), value)

    def tool(self, entry: CatalogTool) -> Tool:
        """Return the tool, with its learned output schema where it has none of its own."""
        return entry.tool if declares_output(entry.tool) else self._learner.learned(self._key(entry), entry.tool)

    def _key(self, entry: CatalogTool) -> LearnedKey:
        account = self._accounts.get(entry.server_id, "")
        return LearnedKey(account, entry.server_id, entry.name, entry.tool.input_digest)


def declares_output(tool: Tool) -> bool:
    """Say whether a tool's output schema says more than that there is an object (as for ``-> dict`` in Python)."""
    schema = tool.output_schema
    if schema is None:
        return False
    is_any_object = schema.get("type", "object") == "object" and schema.get("additionalProperties") in (None, True, {})
    return not (is_any_object and schema.keys() <= _SAYING_NOTHING)
