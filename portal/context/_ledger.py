"""What a model pays for one job: the tokens of the definitions it is given, of what it writes and of what it reads."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from portal._tokens import ENCODING, count_tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from typegen import JsonObject, JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One tool call: what the model wrote to make it, and the text that it got back."""

    tool: str
    arguments: JsonObject
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """The tokens of one way to do a job; the question and the closing words are in no way's."""

    tools: int
    definitions: int
    written: int
    read: int
    calls: int
    turns: int
    billed_input: int
    """What a provider counts as input over all turns: each turn sends everything before it again (no caching)."""

    @property
    def context(self) -> int:
        """What the job leaves in the model's context."""
        return self.definitions + self.written + self.read


def bill(
    tools: Iterable[Mapping[str, JsonValue]], turns: Iterable[Iterable[Exchange]], *, encoding: str = ENCODING
) -> Bill:
    """Count a job done in ``turns``, each a batch of tool calls that the model makes at once.

    ``tools`` are definitions as MCP lists them, counted as ``definition`` says.
    """
    definitions = [definition(tool) for tool in tools]
    offered = sum(count_tokens(text, encoding) for text in definitions)
    written = read = calls = count = 0
    billed = offered
    for exchanges in turns:
        count += 1
        for exchange in exchanges:
            calls += 1
            written += count_tokens(compact({"name": exchange.tool, "arguments": exchange.arguments}), encoding)
            read += count_tokens(exchange.answer, encoding)
        billed += offered + written + read  # the next turn sends all of it, the last one to say the answer
    return Bill(
        tools=len(definitions),
        definitions=offered,
        written=written,
        read=read,
        calls=calls,
        turns=count,
        billed_input=billed,
    )


def definition(tool: Mapping[str, JsonValue]) -> str:
    """Write a tool as model APIs take it: name, description if it has one, and input schema, as compact JSON.

    Output schemas, titles and annotations are left out, although some clients send those too.
    """
    described: JsonObject = {"description": tool["description"]} if tool.get("description") else {}
    return compact({"name": tool["name"], **described, "input_schema": tool.get("inputSchema")})


def compact(value: JsonValue) -> str:
    """Write JSON without a blank that says nothing."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
