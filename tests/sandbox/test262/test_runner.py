"""The runner of test262, over a small suite in its format: each kind of test ends as INTERPRETING.md says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox import Sandbox, SandboxConfig
from tests.sandbox.test262.__main__ import compare, main, run_all, sample
from tests.sandbox.test262._case import ENGINE_LACKS, cases_of, front_matter
from tests.sandbox.test262._program import execute

if TYPE_CHECKING:
    from pathlib import Path

HARNESS = {
    "assert.js": "function assert(yes) { if (yes !== true) throw new Test262Error('expected true') }",
    "sta.js": "function Test262Error(message) { this.message = message }\n"
    "function $DONOTEVALUATE() { throw 'evaluated' }",
    "doneprintHandle.js": "function $DONE(error) {\n"
    "  print(error ? 'Test262:AsyncTestFailure:' + error.name + ': ' + error.message : 'Test262:AsyncTestComplete')\n}",
    "double.js": "function double(n) { return n * 2 }",
    "lexical.js": "let one = 1\nconst two = 2\nclass Three extends Array {\n}\nconst four = new Three(4)",
}
TESTS = {
    "passes": ("", "assert(1 + 1 === 2)"),
    "fails": ("", "assert(1 + 1 === 3)"),
    "includes": ("includes: [double.js]", "assert(double(2) === 4)"),
    "includes-lexical": ("includes: [lexical.js]", "assert(one + two + new Three(3).length + four.length === 10)"),
    "carriage-return": ("", "assert(function () {\r}.toString() === 'function () {' + String.fromCharCode(13) + '}')"),
    "only-sloppy": ("flags: [noStrict]", "assert((function () { return this })() === globalThis)"),
    "only-strict": ("flags: [onlyStrict]", "assert((function () { return this })() === undefined)"),
    "parse-error": ("negative: {phase: parse, type: SyntaxError}", "$DONOTEVALUATE(); let let = 1"),
    "parse-error-that-parses": ("negative: {phase: parse, type: SyntaxError}", "$DONOTEVALUATE()"),
    "runtime-error": ("negative: {phase: runtime, type: TypeError}", "null.x"),
    "runtime-error-that-ends": ("negative: {phase: runtime, type: TypeError}", "1"),
    "raw": ("flags: [raw]", "if (typeof assert !== 'undefined') throw new Error('harness')"),
    "async": ("flags: [async]", "Promise.resolve().then(() => $DONE())"),
    "async-that-fails": ("flags: [async]", "Promise.reject(new TypeError('no')).catch($DONE)"),
    "async-that-never-ends": ("flags: [async]", "new Promise(() => {})"),
    "loop": ("flags: [noStrict]", "Array.prototype.concat = null; throw new Error('after damage')"),
    "module": ("flags: [module]", "import './x.js'"),
    "realm": ("features: [cross-realm]", "$262.createRealm()"),
    "host-object": ("", "$262.gc()"),
    "intl": ("features: [Intl.Locale]", "1"),
}
FAIL = {
    "fails": "Test262Error: expected true",
    "parse-error-that-parses": "it must end with SyntaxError: String: evaluated",
    "runtime-error-that-ends": "it ended, and must not: TypeError",
    "async-that-fails": "TypeError: no",
    "async-that-never-ends": "UnsettledPromise: ",
    "loop": "Error: after damage",
}
SKIPPED = {"module", "realm", "host-object", "intl"}
HAS = {
    "Temporal": "'Temporal' in globalThis",
    "decorators": "Function('@(c => c) class C {}')",
    "tail-call-optimization": "(function f(n) { 'use strict'; return n === 0 || f(n - 1) })(1e6)",
    "legacy-regexp": "'$1' in RegExp",
    "canonical-tz": "'Intl' in globalThis",
    "await-dictionary": "'allKeyed' in Promise",
    "FinalizationRegistry.prototype.cleanupSome": "'cleanupSome' in FinalizationRegistry.prototype",
    "regexp-buffer-boundaries": "new RegExp('\\\\A', 'u')",
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name, text in HARNESS.items():
        file = tmp_path / "checkout" / "harness" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    for name, (matter, text) in TESTS.items():
        file = tmp_path / "checkout" / "test" / "language" / f"{name}.js"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"// made for the runner\n/*---\ndescription: {name}\n{matter}\n---*/\n{text}\n")
    return tmp_path / "checkout"


async def test_every_kind_of_test_is_judged_as_the_suite_says(checkout: Path) -> None:
    paths = sample(checkout, 100)
    cases = [case for path in paths for case in cases_of(checkout, path)]

    failed = await run_all(checkout, cases)

    reasons = {name.removeprefix("language/").partition(".js")[0]: reason for name, reason in failed.items()}
    assert {name: reason[: len(FAIL[name])] for name, reason in reasons.items()} == FAIL
    assert {path.removeprefix("language/").removesuffix(".js") for path in paths} == set(TESTS)
    ran = [name for name in TESTS if name not in SKIPPED]
    in_one_mode = [
        name for name in ran if TESTS[name][0] in {"flags: [noStrict]", "flags: [onlyStrict]", "flags: [raw]"}
    ]
    assert len(cases) == 2 * len(ran) - len(in_one_mode)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_front_matter_is_read_whatever_ends_its_lines(end: str) -> None:
    source = end.join(["// made for the runner", "/*---", "info: |", "  a", "  b", "flags: [raw]", "---*/", "1", ""])

    assert front_matter(source) == {"info": "a\nb\n", "flags": ["raw"]}


@pytest.mark.parametrize("feature", sorted(ENGINE_LACKS))
async def test_the_engine_lacks_what_is_skipped_for_that(feature: str) -> None:
    async with Sandbox(SandboxConfig(workers=1)) as sandbox:
        outcome = await execute(sandbox, f"try {{ return Boolean({HAS[feature]}) }} catch {{ return false }}")

    assert outcome.value == b"false"


def test_the_sample_does_not_change_with_what_else_is_there(checkout: Path) -> None:
    before = sample(checkout, 5)
    (checkout / "test" / "language" / "another.js").write_text("1")

    after = sample(checkout, 6)

    assert [path for path in after if path != "language/another.js"][:5] == before


def test_the_list_of_failures_is_made_once_and_each_is_explained(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = tmp_path / "failures.txt"
    arguments = [str(checkout), "--failures", str(known)]

    made, printed, again = main(arguments), capsys.readouterr().out, main(arguments)

    assert (made, again) == (0, 0)
    assert "language/fails.js strict\n     Test262Error: expected true" in printed
    assert "language/fails.js strict" in known.read_text().splitlines()


def test_the_list_of_failures_may_only_shrink(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known = tmp_path / "failures.txt"
    known.write_text("a sloppy\nb strict\nnot in this sample\n")

    same = compare(known, ["a sloppy", "b strict", "c strict"], {"a sloppy": "no", "b strict": "no"})
    worse = compare(known, ["a sloppy", "b strict", "c strict"], {"a sloppy": "1", "b strict": "2", "c strict": "3"})
    better = compare(known, ["a sloppy", "b strict", "c strict"], {"a sloppy": "no"})

    printed = capsys.readouterr().out
    assert [same, worse, better] == [0, 1, 1]
    assert "new: c strict\n     3" in printed
    assert "take it off the list: b strict" in printed


def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([str(tmp_path)])

    assert "no harness/assert.js" in capsys.readouterr().err
