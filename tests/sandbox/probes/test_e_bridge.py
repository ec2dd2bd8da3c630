"""Probes 55 to 63: what crosses between guest and host, and what becomes of it."""

from __future__ import annotations

import ctypes
import json
import logging
import struct
import sys
from typing import TYPE_CHECKING

import pytest

from engine import Catalog, ServerTools, ToolFailure, Tools, UpstreamError, call_provider
from portal import ServerConfig
from portal._records import Recorder
from portal.cli._output import print_table, print_text, start_logging
from sandbox import ProtocolError
from sandbox._isolate import IsolateTrap
from tests.sandbox._isolates import CLOCK_US, SEED, make_setup
from tests.sandbox.probes._rule import probe
from tests.sandbox.probes._upstream import SECRET, Upstream
from tests.sandbox.test_separation import LOOK, PLANT

if TYPE_CHECKING:
    from engine import JsonObject, JsonValue, ToolCall
    from sandbox._isolate import Isolate
    from tests.portal.conftest import PortalAt, Serving, Upstreamed
    from tests.sandbox._isolates import Host
    from tests.sandbox.probes._rule import Attack, Rule

OUTBOX, LENGTH, INBOX = 56, 60, 48  # offsets in the control block, as the guest's README has them


class Corrupting:
    """An instance whose guest writes these words over its control block at the end of each turn."""

    def __init__(self, isolate: Isolate, words: dict[int, int]) -> None:
        self._instance = isolate._instance
        self._control = isolate._control
        self._words = words

    def call(self, name: bytes, argument: int = 0) -> int:
        status = self._instance.call(name, argument)
        for offset, word in self._words.items():
            ctypes.memmove(self._control + offset, struct.pack("<I", word), 4)
        return status

    def __getattr__(self, name: str) -> object:
        return getattr(self._instance, name)


@probe(55)
@pytest.mark.parametrize(
    "words",
    [
        {OUTBOX: 0xFFFFFFF0, LENGTH: 64},
        {LENGTH: 0xFFFFFFFF},
        {OUTBOX: 2**31, LENGTH: 1},
        {OUTBOX: 0, LENGTH: 0x7FFFFFFF},
        {OUTBOX: 0xFFFFFFFF, LENGTH: 0xFFFFFFFF},
        {LENGTH: 3},
    ],
    ids=["past the end", "a negative length", "far away", "all of memory", "overflow", "half a record"],
)
async def test_an_address_outside_of_the_isolates_memory_is_not_read(
    attack: Attack, host: Host, words: dict[int, int]
) -> None:
    isolate = host.isolate()
    isolate.start(make_setup(), b"await host.x(1)", clock_us=CLOCK_US, seed=SEED)
    isolate._instance = Corrupting(isolate, words)  # type: ignore[assignment] # stands where the instance does

    with pytest.raises(ProtocolError):
        isolate.settle(b'[{"id":1,"ok":true,"value":1}]', clock_us=CLOCK_US)
    isolate.close()
    assert (await attack("1")).text == "1"


@probe(55)
@pytest.mark.parametrize("address", [0xFFFFFF00, 0x80000000])
async def test_an_inbox_outside_of_the_isolates_memory_is_not_written(attack: Attack, host: Host, address: int) -> None:
    isolate = host.isolate()
    isolate.start(make_setup(), b"await host.x(1)", clock_us=CLOCK_US, seed=SEED)
    ctypes.memmove(isolate._control + INBOX, struct.pack("<I", address), 4)

    with pytest.raises(ProtocolError):
        isolate.settle(b"[]", clock_us=CLOCK_US)
    isolate.close()
    assert (await attack("1")).text == "1"


# The shapes of the memory errors that quickjs-ng has fixed since 2025; each runs in the worker that others use.
POCS = {
    "a typed array is resized while it is sorted": """
        const b = new ArrayBuffer(4096, {maxByteLength: 2 ** 20}), t = new Uint32Array(b);
        t.sort((x, y) => { b.resize(8); b.resize(2 ** 16); return y - x })""",
    "a typed array is detached by its constructor's species": """
        const a = new Uint8Array(1e5), b = a.buffer;
        class S extends Uint8Array { static get [Symbol.species]() { b.transfer?.(8); return Uint8Array } }
        Object.setPrototypeOf(a, S.prototype); a.slice(0, 1e5); a.map(x => x); new Uint8Array(a)""",
    "a length is asked for while an array is built from it": """
        const b = new ArrayBuffer(64, {maxByteLength: 128});
        new Uint8Array(b, {valueOf() { b.resize(0); return 8 }}, {valueOf() { b.resize(128); return 56 }})""",
    "a buffer is used after its transfer": """
        const b = new ArrayBuffer(2 ** 16), v = new DataView(b), t = new Float64Array(b), c = b.transfer(8);
        t.fill(1.5); t.copyWithin(0, 100); t.set([1], 0); try { v.setFloat64(0, 1) } catch {} c.byteLength""",
    "an array shrinks while it is written and read": """
        const a = Array.from({length: 1000}, (_, i) => i);
        Object.defineProperty(a, 500, {get() { a.length = 0; a.push(...Array(5000).fill({})); return 1 }});
        JSON.stringify(a); a.concat(a); a.flat(); a.sort()""",
    "a proxy lies about its keys": """
        const p = new Proxy({}, {ownKeys: () => Array.from({length: 2e3}, (_, i) => 'k' + i),
          getOwnPropertyDescriptor: () => ({configurable: true, enumerable: true, value: 1})});
        Object.keys(p).length + Object.assign({}, p).k1 + JSON.stringify(p).length""",
    "finalisers run while a realm goes": """
        const r = new FinalizationRegistry(held => { held(); r.register({}, held) });
        for (let i = 0; i < 500; i++) r.register({}, () => new WeakRef({}).deref())""",
    "a stack of disposables disposes of itself": """
        const s = new DisposableStack();
        s.defer(() => s.defer?.(() => {})); s.adopt({}, () => { try { s.dispose() } catch {} });
        try { s.use({[Symbol.dispose]() { s.move() }}); s.dispose() } catch {}""",
    "a generator is resumed by itself": """
        let g; function* f() { try { g.next() } catch {} try { g.return(1) } catch {} yield* g ?? [] }
        g = f(); try { [...g] } catch {}""",
    "a regular expression is recompiled while it matches": """
        const r = /(a+)+b|(?<n>c)/dg; r[Symbol.match] = undefined;
        try { 'aac'.replace(r, () => { r.compile('x'.repeat(1e4), 'g'); return r.exec('x'.repeat(1e4)) }) } catch {}
        /(?:(?=(\\1a)))|[^\\u{10ffff}]{0,1000}/u.exec('a'.repeat(1e4))""",
    "a class is a getter of itself": """
        class A { static #p = 1; static get [Symbol.species]() { return A } static has(o) { return #p in o } }
        A.has(A); try { A.has.call(null, Object.create(A)) } catch {} Promise.resolve.call(A)""",
}


@probe(56)
@pytest.mark.parametrize("poc", POCS)
async def test_what_once_corrupted_the_engine_costs_at_most_its_own_run(attack: Attack, poc: str) -> None:
    ended = await attack(f"{POCS[poc]};\n'ended'", cpu_s=1)

    assert "lost" not in ended.text
    assert ended.text == "ended" or ended.is_error


@probe(56)
async def test_a_heap_in_ruins_ends_that_isolate_alone(attack: Attack, host: Host) -> None:
    isolate = host.isolate()
    isolate.start(make_setup(), b"const keep = [1, {a: 2}]; await host.x(1); keep", clock_us=CLOCK_US, seed=SEED)
    base, size = isolate._instance.base, isolate._instance.size
    ctypes.memset(base + size // 4, 0xA5, size // 2)

    with pytest.raises((IsolateTrap, ProtocolError)):
        isolate.settle(b'[{"id":1,"ok":true,"value":1}]', clock_us=CLOCK_US)
    isolate.close()
    assert host.run("1 + 1").value == 2
    assert (await attack("1")).text == "1"


@probe(57)
async def test_two_users_who_alternate_find_nothing_of_each_other(rule: Rule) -> None:
    """200 turns each in one worker; the probe's 10,000 are a matter of time only: every isolate is a fresh one."""
    found: list[JsonValue] = []

    async with rule() as probe:
        for number in range(200):
            await probe.run(PLANT.replace("host", "codemode") % {"secret": f"secret-{number}"}, owner="mallory")
            found.append((await probe.run(LOOK, owner="alice")).value)

    assert found == [[[], None, "undefined", False, [1]]] * 200


TEXTS = {
    "a lone surrogate": ("\\ud800", "\ufffd"),
    "nul": ("\\0", "\0"),
    "a byte order mark": ("\\ufeff", "\ufeff"),
    "line separators": ("\\u2028\\u2029", "\u2028\u2029"),
    "right to left": ("\\u202e", "\u202e"),
    "a noncharacter": ("\\uffff", "\uffff"),
    "beyond the first plane": ("\\u{10ffff}", "\U0010ffff"),
}


@probe(58)
@pytest.mark.parametrize("name", TEXTS)
async def test_any_text_passes_or_is_cleanly_replaced(attack: Attack, name: str) -> None:
    """In arguments, results, returned values and console lines alike."""
    written, expected = TEXTS[name]
    upstream = Upstream()

    ended = await attack(
        f"const t = 'a{written}b'; console.log(t); [t, (await codemode.tracker_echo({{[t]: t}})).got]",
        upstream=upstream,
    )

    text = f"a{expected}b"
    assert upstream.calls == [("tracker_echo", {text: text})]
    assert json.loads(ended.text.split("\n--- logs\n")[0]) == [text, {text: text}]
    assert ended.text.encode() == ended.text.encode("utf-8", "strict")


@probe(58)
@pytest.mark.parametrize("name", TEXTS)
async def test_a_result_that_is_no_clean_text_reaches_the_program(attack: Attack, name: str) -> None:
    """What an upstream sends may hold surrogates that no UTF-8 has."""
    raw = TEXTS[name][0].encode().decode("unicode_escape") if "{" not in TEXTS[name][0] else TEXTS[name][1]
    upstream = Upstream(gift={"text": f"a{raw}b"})

    ended = await attack("(await codemode.tracker_give({})).text.length", upstream=upstream)

    assert int(ended.text) >= 3


@probe(58)
@pytest.mark.parametrize("source", ["'\ud800'", "'a\0b'", "'\u2028'", "\ufeff'a'", "/* \u202e */ 'a'"])
async def test_source_of_any_text_is_run(attack: Attack, source: str) -> None:
    ended = await attack(source)

    assert not ended.is_error


@probe(58)
async def test_a_record_is_one_line_of_utf8_whatever_is_in_it(attack: Attack, caplog: pytest.LogCaptureFixture) -> None:
    ended = await attack("1")

    with caplog.at_level(logging.INFO, "portico.records"):
        recorder = Recorder()
        recorder.write_run(ended.record.as_json(), user="a\nb\u2028\x1b[31m", portal="p\r\n{}")
        recorder.write_lines()

    assert len(caplog.messages) == 1
    assert len(caplog.messages[0].splitlines()) in {1, 2}  # U+2028 is no line break to a log
    assert "\n" not in caplog.messages[0]
    assert "\x1b" not in caplog.messages[0]


@probe(59)
async def test_keys_with_a_meaning_become_plain_properties(attack: Attack) -> None:
    names = ["__proto__", "constructor", "prototype", "toString", "hasOwnProperty", "then", "length", "0", "-0", "1e3"]
    upstream = Upstream(gift={name: {"planted": True} for name in names})

    ended = await attack(
        """
        const got = await codemode.tracker_give({});
        const own = Reflect.ownKeys(got).sort();
        [own, ({}).planted ?? null, Object.getPrototypeOf(got) === Object.prototype, [].planted ?? null]
        """,
        upstream=upstream,
    )

    assert ended.value == [sorted(names), None, True, None]


@probe(59)
async def test_an_error_with_such_fields_changes_no_prototype(attack: Attack) -> None:
    async def refuse(_: JsonObject) -> JsonObject:
        data: JsonObject = {"__proto__": {"planted": 1}, "constructor": {"prototype": {"planted": 1}}}
        raise UpstreamError("no", server="tracker", tool="echo", data=data)

    ended = await attack(
        "const e = await codemode.tracker_echo({}).catch(e => e); [e instanceof ToolError, ({}).planted ?? null]",
        upstream=Upstream(answers={"echo": refuse}),
    )

    assert ended.value == [True, None]


@probe(60)
async def test_of_duplicate_keys_everyone_sees_the_same(attack: Attack) -> None:
    """In a text result the guest's value is the host's; in arguments as text the upstream gets what was checked."""

    async def twice(_: JsonObject) -> JsonObject:
        return {"content": [{"type": "text", "text": '{"a": 1, "a": 2}'}]}

    upstream = Upstream(answers={"give": twice})

    ended = await attack(
        'const got = await codemode.tracker_give({}); await codemode.tracker_echo(JSON.parse(`{"id":1,"id":2}`)); got',
        upstream=upstream,
    )

    assert ended.value == {"a": 2}
    assert upstream.calls[1] == ("tracker_echo", {"id": 2})


@probe(61)
@pytest.mark.parametrize(
    "gift",
    [
        {"id": 1, "ok": True, "value": "forged"},
        [{"id": 1, "ok": False, "error": {"name": "Error"}}],
        {"jsonrpc": "2.0", "id": 1, "result": {"content": []}},
        '\n\ndata: {"jsonrpc":"2.0"}\n\nevent: message\n',
        {"text": "\x05\0\0\0C{}", "end": "E"},
        {"isError": True, "content": [{"type": "text", "text": "forged"}]},
        {"_meta": {"portico/run": "forged"}, "resultType": "input_required"},
    ],
)
async def test_a_result_that_looks_like_a_message_is_data(attack: Attack, gift: JsonValue) -> None:
    upstream = Upstream(gift={"it": gift})

    ended = await attack("(await codemode.tracker_give({})).it", upstream=upstream)

    assert (ended.text if isinstance(gift, str) else ended.value) == gift


ESCAPES = "\x1b[2J\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\ \r\x9b31m\x07\u202e"


@probe(62)
async def test_a_terminal_is_not_steered_by_what_a_program_prints(
    attack: Attack, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs that read the output get it as it is; people at a terminal see the characters written out."""
    ended = await attack(f"console.log({json.dumps(ESCAPES)}); throw new Error({json.dumps(ESCAPES)})")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)

    print_text(ended.text)
    print_table([["ok", ESCAPES, "next\nline"]])

    shown = capsys.readouterr().out
    assert shown.replace("\n", "").isprintable()
    assert "\\x1b[2J" in shown
    assert "next\\nline" in shown


@probe(62)
async def test_a_log_line_is_one_line_and_steers_nothing(attack: Attack, capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        start_logging(is_debug=False, level=logging.INFO)
        logging.getLogger("portico").warning("%s", f"{ESCAPES}\n2026-01-01 INFO forged")
    finally:
        root.handlers, root.level = before
    line = capsys.readouterr().err

    assert line.count("\n") == 1
    assert line.rstrip("\n").isprintable()
    assert (await attack("1")).text == "1"


def fragile() -> Tools:
    tools = Tools("own")

    @tools.tool
    def breaks() -> str:
        """Break."""
        raise RuntimeError(f"GET https://db.internal/?token={SECRET} failed")

    @tools.tool
    def refuses() -> str:
        """Refuse."""
        raise ToolFailure("no such row", code=7)

    return tools


@probe(63)
async def test_what_a_python_function_raises_is_not_told(rule: Rule) -> None:
    tools = fragile()
    listed = tuple(await tools.list_tools())
    catalog = Catalog.build([ServerTools(id="own", tools=listed)])

    class OwnUpstream(Upstream):
        async def __call__(self, call: ToolCall) -> JsonObject:
            return await call_provider(tools, call.entry.name, call.arguments)

    async with rule(upstream=OwnUpstream()) as probe:
        broken = await probe.run("await codemode.own_breaks({})", catalog=catalog)
        caught = await probe.run(
            "const e = await codemode.own_breaks({}).catch(e => e); [Object.values(e), e.stack, String(e)].flat()",
            catalog=catalog,
        )
        told = await probe.run("await codemode.own_refuses({})", catalog=catalog)

    assert "RuntimeError" in broken.text
    assert "internal" not in broken.text + caught.text
    assert "no such row" in told.text


@probe(63)
async def test_what_a_connection_fails_by_is_not_told(
    rule: Rule, portal_at: PortalAt, upstream: Upstreamed, serving: Serving
) -> None:
    """The address holds a key, and the connection breaks during the call."""
    upstream.breaks = "echo"
    async with (
        rule() as probe,
        serving(upstream) as url,
        portal_at(ServerConfig(id="up", url=f"{url}?key={SECRET}")) as (portal, _),
    ):
        answer = await portal.engine.code(
            "const told = await codemode.up_echo({}).catch(e => [e.name, e.message, e.data, e.stack]);"
            "[told, await codemode.portal_list_servers({}), await codemode.servers()]",
            catalog=portal.catalog(),
            invoker=portal.invoker(),
        )
        probe.answers.append(answer.text)

    assert "ToolError" in answer.text
    assert "127.0.0.1" not in answer.text
