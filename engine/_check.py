"""The check of a whole program before any of it runs: only what is certain to fail stops it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from engine._quote import quoted_part
from engine._surface import BUILTINS
from typegen import declare

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine._arguments import ArgumentCheck
    from engine._catalog import Catalog, CatalogTool
    from sandbox import CallSite, ProgramFacts
    from typegen import JsonObject, JsonValue

DECLARATION_TOKENS: Final = 125
"""Of each misused tool's declaration, in practice at most 150: its parameters, so that no second question is needed."""
FINDINGS_SHOWN: Final = 20
AWAITS_SHOWN: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One certain error: what, where (line and column from 1), and the misused tool where there is one."""

    line: int
    column: int
    message: str
    entry: CatalogTool | None = None


def check_program(facts: ProgramFacts, catalog: Catalog) -> list[Finding]:
    """List the certain errors of a program: unknown tools, and missing, unknown or mistyped literal arguments.

    After one more than are shown nothing is looked at any more: to word a thousand of them takes seconds.
    """
    findings: list[Finding] = []
    for call in facts.calls:
        finding = _check_call(call, catalog)
        if finding is not None:
            findings.append(finding)
            if len(findings) > FINDINGS_SHOWN:
                break
    return findings


def refusal_text(findings: Sequence[Finding], *, max_chars: int) -> str:
    """Write the answer to a program that was not run; declarations stop where ``max_chars`` are reached."""
    lines = ["Not run; no tool was called."]
    lines += [f"{finding.line}:{finding.column} {finding.message}" for finding in findings[:FINDINGS_SHOWN]]
    if len(findings) > FINDINGS_SHOWN:
        lines.append("and more")
    misused = {finding.entry.identifier: finding.entry for finding in findings[:FINDINGS_SHOWN] if finding.entry}
    room = max_chars - sum(map(len, lines))
    for identifier, entry in misused.items():
        declaration = declare(entry.tool, identifier=identifier, token_budget=DECLARATION_TOKENS, has_output=False)
        room -= len(declaration.text)
        if room < 0:
            break
        lines.append(declaration.text)
    return "\n".join(lines)


def refused_syntax(facts: ProgramFacts) -> list[Finding]:
    """List the TypeScript in a program that cannot be erased."""
    return [
        Finding(line=found.line, column=found.column, message=f"TypeScript that cannot be erased, {found.message}")
        for found in facts.refused
    ]


def missing_awaits(facts: ProgramFacts) -> list[str]:
    """Describe each use of a promise as if it were the result; not an error yet, but never what was meant."""
    misused = [call for call in facts.calls if call.misuse is not None]
    notes = [
        f"await is missing at {call.line}:{call.column}: codemode.{quoted_part(call.method)}(…) is a promise, "
        f"used by {call.misuse}"
        for call in misused[:AWAITS_SHOWN]
    ]
    more = len(misused) - len(notes)
    return [*notes, f"await is missing at {more} more {'place' if more == 1 else 'places'}"] if more else notes


def _check_call(call: CallSite, catalog: Catalog) -> Finding | None:
    method, arguments = call.method, call.arguments
    if method == "raw":
        name = arguments[0].get("known") if arguments else None
        if not isinstance(name, str):
            return None
        method, arguments = name, arguments[1:]
    elif method in BUILTINS:
        return None
    entry = catalog.find(method)
    if entry is None:
        message = catalog.unknown_tool_message(method)
        return Finding(line=call.line, column=call.column, message=message)
    problems = _problems(arguments, catalog.argument_check(entry))
    if not problems:
        return None
    message = f"{entry.identifier}: {', '.join(problems)}"
    return Finding(line=call.line, column=call.column, message=message, entry=entry)


def _problems(arguments: Sequence[JsonObject], check: ArgumentCheck) -> list[str]:
    """Say what is certain to be wrong with the arguments as they are written."""
    if len(arguments) > 1:
        return ["takes one object of named arguments"]
    literal = arguments[0] if arguments else {"known": {}}
    if "known" in literal:
        value = literal["known"]
        if value is None:
            value = {}
        return check.findings(value) if isinstance(value, dict) else ["takes one object of named arguments"]
    if "kind" in literal:
        return ["takes one object of named arguments"]
    if "members" not in literal:
        return []
    members = cast("Mapping[str, JsonObject]", literal["members"])
    known: dict[str, JsonValue] = {name: member["known"] for name, member in members.items() if "known" in member}
    return check.partial_findings(known, names=list(members), is_whole=literal.get("is_whole") is True)
