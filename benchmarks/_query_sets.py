"""Query sets for tool search: tools as tables of text, and queries with the tools that answer each.

BFCL is flattened so: the ten single-turn categories of ``bfcl-eval`` that have a ground truth (``simple_*``,
``multiple``, ``parallel*``, ``live_*``); a tool is a distinct pair of name and description; a query is what the user
says, without the system's text; the answers are the tools of its own row that the ground truth calls. 2,101 tools and
2,501 queries.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks._packages import unpacked
from benchmarks._paraphrases import ANSWERED
from engine._words import parts
from tests.typegen._catalogues import aws_tools, github_tools
from typegen import Tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Json = dict[str, Any]  # other people's documents, of a form that is known and not ours to type

_BFCL = ("bfcl_eval", "2026.3.23", "3bb6dfa5f0c68ad403c9ec50b00db2bb3b4cc9b38ab1ff33f48fe30d853d3a0a")
_AWS_CLI = ("awscli", "1.46.2", "d818f5a3c8e772271db67ac002c9ba2bc4ec064e5aefbf1605e23bd2cf4346c5")
_GOOGLE = ("google_api_python_client", "2.202.0", "aaa90064c9bb642ff1d065b22ca8958a2cb6e345909cefe70d0e5452fc50e08b")
_BFCL_CATEGORIES: tuple[str, ...] = (
    "simple_python",
    "simple_java",
    "simple_javascript",
    "multiple",
    "parallel",
    "parallel_multiple",
)
_BFCL_CATEGORIES += ("live_simple", "live_multiple", "live_parallel", "live_parallel_multiple")
_AWS_SERVICES: tuple[str, ...] = (
    "cloudformation",
    "cloudtrail",
    "ecr",
    "ecs",
    "eks",
    "elbv2",
    "events",
    "glue",
    "kms",
    "logs",
)
_AWS_SERVICES += ("organizations", "route53", "secretsmanager", "sns", "sqs", "ssm", "stepfunctions", "sts")
_GOOGLE_APIS: tuple[str, ...] = (
    "bigquery.v2",
    "calendar.v3",
    "classroom.v1",
    "compute.v1",
    "container.v1",
    "docs.v1",
    "drive.v3",
)
_GOOGLE_APIS += ("gmail.v1", "people.v1", "pubsub.v1", "sheets.v4", "storage.v1", "tasks.v1", "youtube.v3")


@dataclass(frozen=True, slots=True, kw_only=True)
class QuerySet:
    """Tools with their servers, and queries with the numbers of the tools that answer each.

    ``is_any`` says that one answer of several is enough; else recall counts the share that was found.
    """

    name: str
    tools: tuple[tuple[str, Tool], ...]
    queries: tuple[tuple[str, frozenset[int]], ...]
    is_any: bool = False


def query_sets() -> Iterator[QuerySet]:
    """Yield every set. No weight was fitted to those whose names end in "held out"."""
    yield bfcl()
    large = large_catalog()
    yield _summaries("big-summary", large)
    yield from two_words(large)
    yield _paraphrases(large)
    yield _aws_examples()
    yield _google()


def large_catalog() -> tuple[tuple[str, Tool], ...]:
    """GitHub's REST operations, and those of six AWS services: ec2, s3, iam, lambda, rds, dynamodb."""
    return (*(("github", tool) for tool in github_tools()), *(("aws", tool) for tool in aws_tools()))


def bfcl() -> QuerySet:
    """The Berkeley Function Calling Leaderboard, flattened as the module says."""
    data = unpacked(*_BFCL) / "bfcl_eval" / "data"
    numbers: dict[tuple[str, str], int] = {}
    tools: list[tuple[str, Tool]] = []
    queries = []
    for category in _BFCL_CATEGORIES:
        truths = {row["id"]: row["ground_truth"] for row in _rows(data / f"possible_answer/BFCL_v4_{category}.json")}
        for row in _rows(data / f"BFCL_v4_{category}.json"):
            offered = {}
            for function in row["function"]:
                key = (function["name"], function["description"])
                if key not in numbers:
                    numbers[key] = len(tools)
                    tools.append(("", Tool(name=key[0], description=key[1], input_schema=function["parameters"])))
                offered[key[0]] = numbers[key]
            said = " ".join(message["content"] for message in row["question"][0] if message["role"] == "user")
            called = {name for call in truths[row["id"]] for name in call}
            queries.append((said, frozenset(offered[name] for name in called if name in offered)))
    return QuerySet(name="BFCL", tools=tuple(tools), queries=tuple(queries))


def two_words(tools: tuple[tuple[str, Tool], ...]) -> Iterator[QuerySet]:
    """Queries of two words made from the names of ``tools``, the prefix of an AWS service left out."""
    names = [list(dict.fromkeys(parts(tool.name.removeprefix(f"{_service(tool)}_")))) for _, tool in tools]
    frequency = Counter(word for name in names for word in name)
    exact = [(" ".join(name), _having(names, name, whole=True)) for name in names if len(name) == 2]
    yield QuerySet(name="two words: names of two words", tools=tools, queries=tuple(exact))
    for label, pick in (
        ("first and last of the name", lambda name: (name[0], name[-1])),
        ("the two rarest of the name", lambda name: sorted(name, key=lambda word: frequency[word])[:2]),
    ):
        pairs = [pick(name) for name in names if len(name) > 1]
        yield QuerySet(
            name=f"two words: {label}; a tool that has both",
            tools=tools,
            queries=tuple((" ".join(pair), _having(names, list(pair), whole=False)) for pair in pairs),
            is_any=True,
        )


def _having(names: list[list[str]], wanted: list[str], *, whole: bool) -> frozenset[int]:
    words = set(wanted)
    return frozenset(at for at, name in enumerate(names) if (words == set(name) if whole else words <= set(name)))


def _summaries(name: str, tools: tuple[tuple[str, Tool], ...]) -> QuerySet:
    """Ask with each tool's summary for the tool, of which only its name and the names of its parameters are known.

    The summary is the first line or sentence; notices of deprecation and of the end of support are passed over.
    """
    bare = tuple((server, _bare(tool)) for server, tool in tools)
    summaries = (summary(tool.description) for _, tool in tools)
    queries = tuple((text, frozenset((at,))) for at, text in enumerate(summaries) if text)
    return QuerySet(name=name, tools=bare, queries=queries)


def _paraphrases(tools: tuple[tuple[str, Tool], ...]) -> QuerySet:
    numbers = {tool.name: at for at, (_, tool) in enumerate(tools)}
    queries = tuple((asked, frozenset((numbers[name],))) for asked, name in ANSWERED)
    return QuerySet(name="60 paraphrases by hand; held out", tools=tools, queries=queries)


def _aws_examples() -> QuerySet:
    """Ask with the titles of the examples in the manual of the AWS command line: "To delete a queue"."""
    tools = tuple((_service(tool), _operation(tool)) for tool in aws_tools(_AWS_SERVICES))
    numbers = {(service, _kebab(tool.name)): at for at, (service, tool) in enumerate(tools)}
    queries = []
    for service in _AWS_SERVICES:
        for page in sorted((unpacked(*_AWS_CLI) / "awscli" / "examples" / service).glob("*.rst")):
            number = numbers.get((service, page.stem))
            titles = re.findall(r"^\*\*(.+?)\*\*\s*$", page.read_text(), re.MULTILINE)
            asked = [re.sub(r"^(Example\s*\d*\s*[:.-]?\s*)?([Tt]o\s+)?", "", title) for title in titles]
            queries += [(text, frozenset((number,))) for text in asked if number is not None and " " in text]
    return QuerySet(name="titles in the AWS manual; held out", tools=tools, queries=tuple(queries))


def _google() -> QuerySet:
    documents = unpacked(*_GOOGLE) / "googleapiclient" / "discovery_cache" / "documents"
    tools = []
    for api in _GOOGLE_APIS:
        for method in _methods(json.loads((documents / f"{api}.json").read_text())):
            server, _, name = method["id"].partition(".")
            schema = {"type": "object", "properties": method.get("parameters", {})}
            described = method.get("description", "")
            tools.append((server, Tool(name=name.replace(".", "_"), description=described, input_schema=schema)))
    return _summaries("summaries of Google's APIs; held out", tuple(tools))


def _methods(resource: Json) -> Iterator[Json]:
    yield from resource.get("methods", {}).values()
    for inner in resource.get("resources", {}).values():
        yield from _methods(inner)


def _rows(path: Path) -> list[Json]:
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def _service(tool: Tool) -> str:
    return tool.name.partition("_")[0]


def _operation(tool: Tool) -> Tool:
    return Tool(name=tool.name.partition("_")[2], description=tool.description, input_schema=tool.input_schema)


def _bare(tool: Tool) -> Tool:
    properties = tool.input_schema.get("properties")
    names = properties if isinstance(properties, dict) else {}
    return Tool(name=tool.name, input_schema={"type": "object", "properties": {name: {} for name in names}})


def summary(description: str) -> str:
    for line in description.splitlines()[:1]:
        for sentence in re.split(r"(?<=[.!?])\s", line):
            if sentence and not re.search(r"deprecated|end of support|no longer", sentence, re.IGNORECASE):
                return sentence.strip()
    return ""


def _kebab(name: str) -> str:
    """Name an operation as the command line does: ``DeleteQueue`` is ``delete-queue``."""
    split = re.sub(r"(.)([A-Z][a-z]+)", r"\1-\2", name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1-\2", split).lower()
