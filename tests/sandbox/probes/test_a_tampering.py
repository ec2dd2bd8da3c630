"""Probes 8 to 17: programs that change what the language or the namespace gives them before they call their host."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from engine import Catalog, ServerTools
from portal import PortalConfig, PortalServer, Rules, ServerConfig
from sandbox._isolate import Isolate
from tests.sandbox._isolates import CLOCK_US, SEED, make_setup
from tests.sandbox.probes._rule import probe
from tests.sandbox.probes._upstream import CATALOG, FILES, TRACKER, Upstream, tool

if TYPE_CHECKING:
    from engine import JsonObject
    from tests.portal.conftest import PortalAt, Serving, Upstreamed
    from tests.sandbox._isolates import Host
    from tests.sandbox.probes._rule import Attack, Rule

CALL = "const got = await codemode.tracker_echo({a: [1, 'two'], b: {c: true}});\n"
SENT: JsonObject = {"a": [1, "two"], "b": {"c": True}}


@probe(8)
@pytest.mark.parametrize(
    "tampering",
    [
        "Object.prototype.planted = 'forged'",
        "Object.prototype.toJSON = () => 'forged'; Array.prototype.toJSON = () => 'forged'",
        "String.prototype.toJSON = Number.prototype.toJSON = Boolean.prototype.toJSON = () => 'forged'",
        "Object.defineProperty(Array.prototype, 0, {set() {}, get() { return 'forged' }, configurable: true})",
        "Object.prototype.value = 'forged'; Object.prototype.ok = false; Object.prototype.error = {}",
        "Object.prototype.get = () => 'forged'; Object.prototype.set = () => {}",
    ],
)
async def test_a_poisoned_prototype_changes_nothing_that_is_sent(attack: Attack, tampering: str) -> None:
    upstream = Upstream()

    ended = await attack(f"{tampering};\n{CALL}Reflect.ownKeys(got)", upstream=upstream)

    assert upstream.calls == [("tracker_echo", SENT)]
    assert not ended.is_error


@probe(8)
async def test_a_poisoned_then_changes_nothing_that_is_sent(attack: Attack) -> None:
    upstream = Upstream()

    await attack(f"Object.prototype.then = function (done) {{ done('forged') }};\n{CALL}got", upstream=upstream)

    assert upstream.calls == [("tracker_echo", SENT)]


@probe(9)
@pytest.mark.parametrize(
    "tampering",
    [
        "JSON.stringify = () => '[\"forged\"]'; JSON.parse = () => 'forged'",
        "Promise = class {}; Promise.prototype = {}",
        "const P = Promise.prototype; P.then = function () { throw 1 }; P.catch = P.then; P.finally = P.then",
        "Array.prototype.map = Array.prototype.push = Array.prototype.join = Array.prototype.slice = () => { throw 1 }",
        "Array.prototype[Symbol.iterator] = function* () { yield 'forged' }",
        "Function.prototype.call = Function.prototype.apply = Function.prototype.bind = () => { throw 1 }",
        "Reflect.apply = Reflect.ownKeys = Reflect.get = () => { throw 1 }; Object.keys = Object.entries = null",
        "Map.prototype.get = Map.prototype.set = Set.prototype.has = () => { throw 1 }",
        "Proxy = null; Symbol = null; Error = null; TypeError = null; Array = null; String = null",
    ],
)
async def test_replacing_what_the_glue_may_use_changes_neither_call_nor_record(attack: Attack, tampering: str) -> None:
    upstream = Upstream()

    ended = await attack(f"{tampering};\n{CALL}got", upstream=upstream)

    assert upstream.calls == [("tracker_echo", SENT)]
    assert [call.identifier for call in ended.record.calls] == ["tracker_echo"]


@probe(9)
async def test_a_namespace_of_the_programs_own_calls_nobody(attack: Attack) -> None:
    upstream = Upstream()

    ended = await attack(
        "globalThis.codemode = {tracker_echo: () => 'own'}; globalThis.codemode.tracker_echo()", upstream=upstream
    )

    assert ended.text == "own"
    assert upstream.calls == []
    assert ended.record.calls == ()


@probe(10)
async def test_what_was_checked_is_what_is_sent(attack: Attack) -> None:
    """The bytes are made once; the check of the host reads them, and so does the upstream."""
    upstream = Upstream()

    ended = await attack(
        """
        let reads = 0;
        const shifty = new Proxy({id: 1}, {get: (target, key) => key === "id" ? (reads++ ? "'; drop" : 7) : undefined});
        await codemode.tracker_get_issue(shifty);
        reads
        """,
        upstream=upstream,
    )

    assert upstream.calls == [("tracker_get_issue", {"id": 7})]
    assert ended.value == 1


@probe(11)
@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ("{get a() { codemode.tracker_greet({name: 'inner'}); return 1 }}", [{"name": "inner"}, {"a": 1}]),
        ("{a: {toJSON() { args.b = 2; return 1 }}, b: 1}", [{"a": 1, "b": 2}]),
        ("{a: 1, get b() { delete args.c; args.d = 4; return 2 }, c: 3}", [{"a": 1, "b": 2}]),
        ("{a: {valueOf() { throw 1 }, n: 1}}", [{"a": {"n": 1}}]),
    ],
)
async def test_side_effects_while_arguments_are_read_give_one_request(
    attack: Attack, arguments: str, sent: list[JsonObject]
) -> None:
    upstream = Upstream()

    ended = await attack(f"const args = {arguments}; await codemode.tracker_echo(args); 1", upstream=upstream)

    assert [call for _, call in upstream.calls] == sent
    assert ended.text.startswith("1")


@probe(11)
@pytest.mark.parametrize("trap", ["{get a() { throw new Error('mine') }}", "{toJSON() { throw new Error('mine') }}"])
async def test_arguments_that_throw_reject_the_call_and_send_nothing(attack: Attack, trap: str) -> None:
    upstream = Upstream()

    ended = await attack(f"try {{ await codemode.tracker_echo({trap}) }} catch (e) {{ e.message }}", upstream=upstream)

    assert ended.text == "mine"
    assert upstream.calls == []


@probe(12)
@pytest.mark.parametrize(
    "value",
    [
        "{[Symbol.toPrimitive]: () => { throw 1 }, a: 1}",
        "{a: 1, get [Symbol.toStringTag]() { throw 1 }}",
        "Object.defineProperty({a: 1}, Symbol.species, {get() { throw 1 }})",
        "{[Symbol.isConcatSpreadable]: true, [Symbol.unscopables]: {a: true}, a: 1}",
        "{[Symbol.iterator]() { throw 1 }, [Symbol.asyncIterator]() { throw 1 }, a: 1}",
        "{[Symbol.for('nodejs.util.inspect.custom')]() { throw 1 }, a: 1}",
        "Object.setPrototypeOf({a: 1}, new Proxy({}, {getPrototypeOf: target => target}))",
    ],
)
async def test_symbols_mean_nothing_outside(attack: Attack, value: str) -> None:
    upstream = Upstream()

    ended = await attack(f"const v = {value}; console.log(v); await codemode.tracker_echo(v); v", upstream=upstream)

    assert upstream.calls == [("tracker_echo", {"a": 1})]
    assert ended.text.startswith('{"a":1}')


@probe(13)
@pytest.mark.parametrize(
    ("thenable", "answer"),
    [
        ("{then(done) { done('taken') }}", "taken"),
        ("{then(done) { done(this) }}", "cpu_s"),
        ("{then() {}}", "nothing can settle"),
        ("{then(done, fail) { fail(new Error('no')) }}", "Error"),
        ("{get then() { throw new Error('no') }}", "Error"),
        ("{then(done) { done('first'); done('second'); throw 1 }}", "first"),
        ("new Proxy({}, {get: (_, key) => key === 'then' ? done => done('proxied') : undefined})", "proxied"),
    ],
)
async def test_a_thenable_is_the_guests_own_affair(attack: Attack, thenable: str, answer: str) -> None:
    ended = await attack(f"return {thenable}")

    assert answer in ended.text


@probe(14)
@pytest.mark.parametrize(
    "source",
    [
        "class A { static [Symbol.hasInstance]() { return true } } [1 instanceof A, codemode instanceof A]",
        "Object.defineProperty(Error, Symbol.hasInstance, {value: () => { throw 1 }}); throw new Error('x')",
        "(0, eval)('with (codemode) { typeof tracker_echo }')",
        "with (new Proxy({}, {has: () => true, get: () => 1})) { codemode }",
        "function f() { return new.target } [typeof f(), typeof new f(), typeof Reflect.construct(f, [], Array)]",
        "class B extends null { constructor() { return Object.create(new.target.prototype) } } typeof new B()",
        "label: for (;;) { switch (1) { case 1: break label } }",
        "const {a = codemode, ...rest} = {}; ({...rest, b: a === codemode})",
    ],
)
async def test_odd_corners_of_the_language_are_only_odd(attack: Attack, source: str) -> None:
    ended = await attack(source)

    assert ended.stopped_by is None
    assert "lost" not in ended.text


@probe(15)
async def test_a_program_has_no_hands_on_the_bridge(attack: Attack) -> None:
    upstream = Upstream()

    ended = await attack(
        """
        const call = codemode.tracker_wait({});
        const tries = ["settle", "portico_settle", "natives", "__call", "resolve", "dispatch", "send", "bridge"];
        const reached = tries.filter(name => name in globalThis || name in codemode || name in call);
        [reached, Reflect.ownKeys(call), Object.keys(codemode).length]
        """,
        upstream=upstream,
        wall_s=0.5,
    )

    assert ended.stopped_by == "wall_s"  # the call goes on; nothing that the program did answered it
    assert upstream.cancelled == 1


@probe(15)
async def test_an_answer_to_a_call_that_is_not_out_is_ignored(attack: Attack, host: Host) -> None:
    """Ids are the isolate's own; what the host sends for another one, or twice, moves nothing."""
    isolate = Isolate(host.module, memory_bytes=2**24)
    isolate.start(make_setup(), b"[await host.x(1), await host.x(2)]", clock_us=CLOCK_US, seed=SEED)

    forged = [{"id": 9, "ok": True, "value": "forged"}, {"id": 2, "ok": True, "value": "early"}]
    ignored = isolate.settle(json.dumps(forged).encode(), clock_us=CLOCK_US)
    first = isolate.settle(b'[{"id":1,"ok":true,"value":"a"},{"id":1,"ok":true,"value":"b"}]', clock_us=CLOCK_US)
    last = isolate.settle(b'[{"id":2,"ok":true,"value":"c"}]', clock_us=CLOCK_US)
    isolate.close()

    assert (ignored.end, first.end) == (None, None)
    assert json.loads(last.end or b"")["value"] == ["a", "c"]
    assert (await attack("1")).text == "1"


@probe(16)
@pytest.mark.parametrize("name", ["files_read_file", "files_delete", "payroll_export", "portal_secrets", "search"])
async def test_a_tool_outside_the_callers_catalog_is_unknown_like_one_that_never_was(rule: Rule, name: str) -> None:
    """Whether it is another tenant's, of a deleted server, or nobody's: one text, and nothing leaves."""
    mine = Catalog.build([TRACKER])

    async with rule() as probe:
        hidden = await probe.run(f"await codemode.raw('{name}'.trim(), {{}})", catalog=mine)
        absent = await probe.run("await codemode.raw('nobody_nothing'.trim(), {})", catalog=mine)

    assert hidden.text.replace(name, "X").split(". ")[0] == absent.text.replace("nobody_nothing", "X").split(". ")[0]
    assert "files" not in hidden.text.replace(name, "")
    assert probe.upstream.calls == []
    assert hidden.record.calls == ()


@probe(16)
async def test_a_tool_that_a_rule_leaves_out_is_unknown_in_the_same_words(
    rule: Rule, portal_at: PortalAt, upstream: Upstreamed, serving: Serving
) -> None:
    upstream.offer("purge")
    source = "[await codemode['up_' + %r]({}).catch(e => e.message), await codemode.search('purge')]"
    rules = (PortalConfig(servers=(PortalServer(id="up", tools=Rules(deny=("purge",))),)),)
    async with (
        rule() as probe,
        serving(upstream) as url,
        portal_at(ServerConfig(id="up", url=url), portals=rules) as (portal, _),
    ):
        for name in ("purge", "purgf"):
            answer = await portal.engine.code(source % name, catalog=portal.catalog(), invoker=portal.invoker())
            probe.answers.append(answer.text)
    denied, absent = probe.answers

    assert denied == absent.replace("purgf", "purge")
    assert "no such tool" in denied
    assert upstream.calls == []


@probe(16)
async def test_a_server_that_was_deleted_is_gone_from_the_next_run(rule: Rule) -> None:
    source = "await codemode['files_' + 'read_file']({})"

    async with rule() as probe:
        before = await probe.run(source, catalog=CATALOG)
        after = await probe.run(source, catalog=Catalog.build([TRACKER]))

    assert not before.is_error
    assert "no such tool" in after.text
    assert len(probe.upstream.calls) == 1


@probe(17)
@pytest.mark.parametrize(
    "tampering",
    [
        "Object.defineProperty(codemode, 'files_read_file', {value: args => codemode.raw('files_read_file', args)})",
        "codemode.search = () => [{name: 'files_read_file'}]",
        "Object.setPrototypeOf(codemode, {files_read_file: codemode['tracker' + '_echo']})",
        "codemode.__proto__ = null",
    ],
)
async def test_what_a_program_does_to_its_own_list_opens_nothing(rule: Rule, tampering: str) -> None:
    source = f"try {{ {tampering} }} catch {{}} await codemode['files' + '_read_file']({{}})"

    async with rule() as probe:
        ended = await probe.run(source, catalog=Catalog.build([TRACKER]))

    assert ended.is_error
    assert probe.upstream.calls == []


@probe(17)
async def test_a_tool_that_another_user_may_use_is_not_found_by_search_or_describe(rule: Rule) -> None:
    mine = Catalog.build([TRACKER])
    theirs = Catalog.build([TRACKER, FILES, ServerTools(id="payroll", tools=(tool("export"),))])

    async with rule() as probe:
        found = await probe.run("(await codemode.search(['payroll export', '/.*/'])).map(t => t.name)", catalog=mine)
        theirs_found = await probe.run("(await codemode.search('payroll export')).map(t => t.name)", catalog=theirs)

    assert "payroll_export" not in found.text
    assert "payroll_export" in theirs_found.text
