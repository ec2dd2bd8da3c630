"""A test as a program for an isolate, and the judgement of how that ended."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from sandbox import Capabilities, Limits, Rejection
from tests.sandbox.test262._case import read

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox import HostCall, Outcome, Sandbox
    from tests.sandbox.test262._case import Case

LIMITS = Limits(cpu_s=10, wall_s=120, source_bytes=8 * 2**20)
CAPABILITIES = Capabilities()
CANARY = "[6 * 7, typeof assert, typeof $DONE, typeof print, Object.keys(globalThis).length, [].concat([1]).join()]"
SINGS = b'[42,"undefined","undefined","undefined",0,"1"]'

# Each text is global code, as an indirect eval runs it: ECMA-262 has it so, but that its `var` can be deleted, that
# `let`, `const` and `class` are its own, and in strict code `var` and `function` too. What judges is taken before the
# test can replace it.
_PROGRAM = """\
const run = globalThis.eval, texts = %(texts)s, isAsync = %(is_async)s, String_ = String;
let settle;
const completed = new Promise((resolve) => { settle = resolve });
const told = (error) => {
  try {
    return String_(error?.constructor?.name ?? error?.name ?? typeof error) + ": " + String_(error?.message ?? error);
  } catch {
    return "Error: it cannot be shown";
  }
};
Object.defineProperty(globalThis, "print", {
  value: (text) => settle(text === "Test262:AsyncTestComplete" ? null : String_(text)),
  writable: true, configurable: true,
});
const last = texts.pop();
for (const text of texts) run(text);
try { run(last) } catch (error) { return told(error) }
return isAsync ? await completed : null;
"""
_ASYNC_FAILURE = "Test262:AsyncTestFailure:"

# What a file of the harness declares is for the texts after it, so none of it may stay its own.
_LEXICAL = re.compile(r"^(?:let|const|(class) (\w+))(?=\s)", re.MULTILINE)


class Harness:
    """The files of ``harness/`` that tests include, read once."""

    def __init__(self, checkout: Path) -> None:
        self._folder = checkout / "harness"
        self._texts: dict[str, str] = {}

    def program(self, case: Case) -> str:
        """Return the program that runs a test."""
        names = [] if case.is_raw else ["assert.js", "sta.js", *case.includes]
        names += ["doneprintHandle.js"] if case.is_async else []
        strictness = '"use strict";\n' if case.is_strict else ""
        texts = [*map(self._text, names), strictness + case.source]
        return _PROGRAM % {"texts": json.dumps(texts), "is_async": json.dumps(case.is_async)}

    def _text(self, name: str) -> str:
        if name not in self._texts:
            self._texts[name] = _LEXICAL.sub(_as_var, read(self._folder / name))
        return self._texts[name]


def _as_var(declaration: re.Match[str]) -> str:
    return f"var {declaration[2]} = {declaration[0]}" if declaration[1] else "var"


async def run_case(sandbox: Sandbox, harness: Harness, case: Case) -> str | None:
    """Run a test; return None when it passed, else what went wrong."""
    return verdict(case, await execute(sandbox, harness.program(case)))


async def execute(sandbox: Sandbox, source: str) -> Outcome:
    """Run a program without tools."""

    async def refuse(call: HostCall) -> bytes:
        raise Rejection(f"there is no {call.method}")

    return await sandbox.execute(source, limits=LIMITS, capabilities=CAPABILITIES, on_call=refuse)


def verdict(case: Case, outcome: Outcome) -> str | None:
    """Judge an outcome as INTERPRETING.md says."""
    if outcome.error is not None:
        return f"{type(outcome.error).__name__}: {outcome.error.message}"
    thrown = None if outcome.value is None else json.loads(outcome.value)
    if thrown is not None and thrown.startswith(_ASYNC_FAILURE):
        thrown = thrown.removeprefix(_ASYNC_FAILURE)
    if case.negative is None:
        return thrown
    if thrown is None:
        return f"it ended, and must not: {case.negative}"
    return None if thrown.partition(":")[0] == case.negative else f"it must end with {case.negative}: {thrown}"
