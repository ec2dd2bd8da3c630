"""Probes 1 to 7: what a program can reach in its own isolate, and what its errors tell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.sandbox.probes._rule import probe
from tests.sandbox.probes._upstream import Upstream

if TYPE_CHECKING:
    from tests.sandbox.probes._rule import Attack

REVIEWED = Path(__file__).parent / "reachable.txt"
ABSENT = ["process", "require", "module", "std", "os", "fetch", "WebAssembly", "Worker", "SharedArrayBuffer", "Atomics"]
OURS = ["natives", "primordials", "setTimer", "addErrorClass", "setLimitError", "randomFill", "portico"]

# Every value that property names, accessors and prototypes lead to, each by the first path that does.
WALK = """
const roots = {
  "": globalThis, "%Iterator%": [][Symbol.iterator](), "%MapIterator%": new Map().keys(),
  "%SetIterator%": new Set().keys(), "%StringIterator%": ""[Symbol.iterator](), "%RegExpIterator%": "".matchAll(/x/g),
  "%Generator%": function* () {}, "%AsyncGenerator%": async function* () {}, "%AsyncFunction%": async () => {},
  "%WrappedIterator%": Iterator.from({next() {}}), "%IteratorHelper%": [].values().map(x => x),
};
const paths = [], seen = new Set([codemode]), queue = Object.entries(roots);
for (const [path, value] of queue) {
  if ((typeof value !== "object" && typeof value !== "function") || value === null || seen.has(value)) continue;
  seen.add(value);
  queue.push([`${path}.[[Prototype]]`, Reflect.getPrototypeOf(value)]);
  for (const key of Reflect.ownKeys(value)) {
    const name = path + (typeof key === "symbol" ? `[${key.description}]` : `.${key}`);
    const field = Reflect.getOwnPropertyDescriptor(value, key);
    paths.push(name.replace(/^\\./, ""));
    queue.push([name, field.value], [`get ${name}`, field.get], [`set ${name}`, field.set]);
  }
}
"""
TELL = "await codemode.tracker_echo({paths: paths.filter(path => !/\\.(name|length)$/.test(path)).sort()})"


@probe(1)
@pytest.mark.parametrize(
    "way",
    [
        "this.constructor.constructor('return this')()",
        "Reflect.getPrototypeOf(codemode['tracker' + '_echo']).constructor('return this')()",
        "console.log.constructor('return this')()",
        "[].map.constructor('return this')()",
        "(0, eval)('this')",
        "(() => { try { null.x } catch (e) { return e.constructor.constructor('return this')() } })()",
        "Reflect.construct(Function, ['return this'])()",
        "Object.getOwnPropertyDescriptor(AbortSignal.prototype, 'aborted').get.constructor('return this')()",
    ],
)
async def test_every_way_to_the_global_object_leads_to_the_isolates_own(attack: Attack, way: str) -> None:
    ended = await attack(f"const g = {way}; [g === globalThis, {ABSENT}.filter(name => name in g)]")

    assert ended.value == [True, []]


@probe(2)
async def test_what_can_be_reached_is_the_reviewed_list(attack: Attack) -> None:
    """The walk follows values, accessors and prototypes: a function without a name in the list cannot be reached.

    A name that comes with a new engine or prelude is looked at by a person, and then added to ``reachable.txt``.
    """
    upstream = Upstream()

    await attack(WALK + TELL, upstream=upstream, cpu_s=2)

    assert upstream.calls[0][1]["paths"] == REVIEWED.read_text().splitlines()


@probe(3)
@pytest.mark.parametrize(
    "maker",
    [
        "Function",
        "(async () => {}).constructor",
        "(function* () {}).constructor",
        "(async function* () {}).constructor",
        "(code => () => (0, eval)(code.replace('return ', '')))",
        "(code => () => eval(code.replace('return ', '')))",
    ],
    ids=["Function", "AsyncFunction", "GeneratorFunction", "AsyncGeneratorFunction", "indirect eval", "direct eval"],
)
async def test_made_code_sees_none_of_our_variables(attack: Attack, maker: str) -> None:
    kinds = " + ".join(f"typeof {name}" for name in OURS)

    ended = await attack(
        f"const made = {maker}('return {kinds}')(), got = await (made.next ? made.next() : made); got.value ?? got"
    )

    assert ended.text == "undefined" * len(OURS)


@probe(4)
@pytest.mark.parametrize(
    "name", ["fs", "std", "os", "data:text/javascript,1", "../sandbox", "https://example.com/x.js"]
)
async def test_nothing_can_be_imported(attack: Attack, name: str) -> None:
    dynamic = await attack(f"await import('{name}')")
    static = await attack(f"import x from '{name}'; export default () => x")
    inside = await attack(f"await (0, eval)(\"import('{name}')\")")

    assert [ended.is_error for ended in (dynamic, static, inside)] == [True] * 3
    assert all("import" in ended.text for ended in (dynamic, static, inside))


@probe(4)
async def test_a_program_has_no_address_to_import_from(attack: Attack) -> None:
    ended = await attack("export default () => import.meta.url")

    assert ended.text.startswith("[no result: the program returned undefined")


@probe(5)
@pytest.mark.parametrize(
    "fault",
    [
        "null.x",
        "JSON.parse('{')",
        "await codemode.tracker_fail({})",
        "await codemode['tracker_' + 'nothing']({})",
        "new URL('nope')",
        "structuredClone(() => 1)",
        "codemode.raw(7)",
        "(function f() { f() })()",
        "eval('let let')",
        "atob('*')",
    ],
)
async def test_a_stack_tells_of_the_program_only(attack: Attack, fault: str) -> None:
    """The rule looks for paths; here no file but the program's own, and no text of ours, may appear either."""
    ended = await attack(f"let stack = ''; try {{ {fault} }} catch (e) {{ stack = e.stack }} stack || 'none'")

    assert "[native code]" not in ended.text
    assert not [name for name in OURS if name in ended.text]
    assert not [line for line in ended.text.splitlines() if ".js" in line or ".c:" in line]


@probe(5)
async def test_the_hook_of_stacks_gets_no_function_and_changes_nothing_outside(attack: Attack) -> None:
    ended = await attack("""
        const seen = [];
        Error.stackTraceLimit = 1000;
        Error.prepareStackTrace = (_, frames) => {
          for (const frame of frames) seen.push(typeof frame.getFunction, typeof frame.getThis, frame.getFileName());
          return "forged";
        };
        structuredClone({get a() { return new Error("inside").stack }});
        console.log([...new Set(seen)].join());
        throw new Error("mine");
    """)

    assert ended.text.splitlines()[0] == "Error: mine"
    assert ended.text.endswith("--- logs\nundefined,program,")


@probe(6)
@pytest.mark.parametrize(
    "thrown",
    [
        "null",
        "undefined",
        "() => { ran() }",
        "Symbol('s')",
        "2n ** 80n",
        "Object.assign(new Error('m'), {name: Symbol('s')})",
        "Object.defineProperty(new Error('m'), 'message', {get() { ran(); throw 1 }})",
        "Object.defineProperty(new Error('m'), 'stack', {get() { ran(); throw 1 }})",
        "{get message() { ran(); throw new Error('again') }}",
        "{toString() { ran(); throw 1 }, toJSON() { ran(); throw 1 }}",
        "new Proxy(new Error('m'), {get() { ran(); throw 1 }, getPrototypeOf() { ran(); throw 1 }})",
        "new Proxy(() => 1, {apply() { ran() }, ownKeys() { ran(); throw 1 }})",
        "new (class extends Error { get name() { ran(); return {} } })('m')",
        "new AggregateError([{get message() { ran(); throw 1 }}], 'm')",
    ],
)
async def test_whatever_is_thrown_is_written_once(attack: Attack, thrown: str) -> None:
    """None of the program's own code runs twice to write its error, and none of it fails the host."""
    ended = await attack(f"let n = 0; const ran = () => console.log('ran', ++n); throw {thrown}")

    assert ended.is_error
    assert ended.text.count("ran ") - ended.text.count("ran()") <= 1
    assert "Stopped" not in ended.text


@probe(7)
@pytest.mark.parametrize(
    "caller",
    [
        "structuredClone({get a() { probe() }})",
        "new EventTarget().dispatchEvent(new Event('x')); new URL({toString: probe})",
        "await codemode.tracker_echo({toJSON: probe})",
        "await codemode.tracker_greet({name: 'x'}).then(probe)",
        "setTimeout(probe, 1); await new Promise(done => setTimeout(done, 5))",
        "new TextEncoder().encode({toString: probe})",
    ],
)
async def test_no_caller_leads_into_our_functions(attack: Attack, caller: str) -> None:
    ended = await attack(f"""
        const seen = new Set();
        function probe() {{
          for (const look of [() => probe.caller, () => probe.arguments, () => arguments.callee.caller]) {{
            try {{ seen.add(typeof look()) }} catch (error) {{ seen.add(error.name) }}
          }}
          return "x";
        }}
        try {{ {caller} }} catch {{}}
        [...seen]
    """)

    assert set(json.loads(ended.text)) <= {"undefined", "TypeError"}
