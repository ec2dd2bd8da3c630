"""What a program finds in its isolate: the reviewed list of names, and that each standard one works."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.sandbox._isolates import Host

# Reviewed: nothing here reaches outside of the isolate, waits in the host or compiles native code. SECURITY.md probe 2.
GLOBALS = """
    AbortController AbortSignal AggregateError Array ArrayBuffer AsyncDisposableStack BigInt BigInt64Array
    BigUint64Array Boolean CustomEvent DOMException DataView Date DisposableStack Error EvalError Event EventTarget
    FinalizationRegistry Float16Array Float32Array Float64Array Function Infinity Int16Array Int32Array Int8Array
    InternalError Iterator JSON Map Math NaN Number Object Promise Proxy RangeError ReferenceError Reflect RegExp
    Set String SuppressedError Symbol SyntaxError TextDecoder TextEncoder ToolError TypeError URIError URL
    URLSearchParams Uint16Array Uint32Array Uint8Array Uint8ClampedArray WeakMap WeakRef WeakSet atob btoa
    clearImmediate clearInterval clearTimeout console crypto decodeURI decodeURIComponent encodeURI
    encodeURIComponent escape eval globalThis host isFinite isNaN parseFloat parseInt performance queueMicrotask
    setImmediate setInterval setTimeout structuredClone undefined unescape
"""


def test_the_global_names_are_the_reviewed_ones(host: Host) -> None:
    names = host.run("Object.getOwnPropertyNames(globalThis)").value

    assert sorted(names) == sorted(GLOBALS.split())


def test_no_global_is_enumerable(host: Host) -> None:
    assert host.run("Object.keys(globalThis)").value == []


@pytest.mark.parametrize(
    "url", ["'http://user:pa%20ss@EXAMPLE.com:80/a/../b?x=1#h'", "'../b?x=1#h', 'http://user:pa ss@example.com/a/c/d'"]
)
def test_urls_are_taken_apart_and_normalised(host: Host, url: str) -> None:
    run = host.run(
        f"const u = new URL({url}); [u.protocol, u.username, u.password, u.host, u.search, u.hash, u.origin]"
    )

    assert run.value == ["http:", "user", "pa%20ss", "example.com", "?x=1", "#h", "http://example.com"]


@pytest.mark.parametrize(
    ("url", "base", "href"),
    [
        ("//h/x", "http://a/b", "http://h/x"),
        ("?y", "http://a/b?x", "http://a/b?y"),
        ("#f", "http://a/b?x", "http://a/b?x#f"),
        ("x/./y/../z", "http://a.com/b/c", "http://a.com/b/x/z"),
        ("/abs", "http://a.com/b/c?d", "http://a.com/abs"),
        ("", "http://a/b?x#y", "http://a/b?x"),
        ("mailto:a@b.c", None, "mailto:a@b.c"),
        ("data:text/plain,hi there", None, "data:text/plain,hi there"),
        ("file:///a/./b", None, "file:///a/b"),
        ("https://a.b:443/ü?q=ä ö#ß", None, "https://a.b/%C3%BC?q=%C3%A4%20%C3%B6#%C3%9F"),
        ("http://0x7f.1/", None, "http://127.0.0.1/"),
        ("http://[2001:DB8::0:1]:8080/x", None, "http://[2001:db8::1]:8080/x"),
        ("HTTP:\\\\a.com\\b", None, "http://a.com/b"),
        (" \thttp://a.com \n", None, "http://a.com/"),
        ("http://a.com/%7Efoo/%2e%2e/bar", None, "http://a.com/bar"),
    ],
)
def test_urls_resolve_as_the_standard_has_it(host: Host, url: str, base: str | None, href: str) -> None:
    arguments = f"{url!r}" if base is None else f"{url!r}, {base!r}"

    assert host.run(f"new URL({arguments}).href").value == href


@pytest.mark.parametrize(
    "url",
    ["nope", "/a", "http://", "http://a b/", "http://a:99999/", "http://256.1.1.1/", "http://[::1/", "http://a%00b/"],
)
def test_what_is_no_url_is_refused(host: Host, url: str) -> None:
    assert host.run(
        f"let e; try {{ new URL({url!r}) }} catch (x) {{ e = x.name }} [e, URL.canParse({url!r}), URL.parse({url!r})]"
    ).value == [
        "TypeError",
        False,
        None,
    ]


def test_search_parameters_and_their_url_follow_each_other(host: Host) -> None:
    run = host.run("""
        const u = new URL('https://a.b/p?q=1&q=2');
        u.searchParams.append('x y', 'a&b=c~*');
        u.searchParams.delete('q', '2');
        const href = u.href;
        u.search = '?only=this';
        [href, u.searchParams.get('only'), [...u.searchParams], u.searchParams.size,
            String(new URLSearchParams({a: 1, b: 'ü'}))]
    """)

    assert run.value == ["https://a.b/p?q=1&x+y=a%26b%3Dc%7E*", "this", [["only", "this"]], 1, "a=1&b=%C3%BC"]


def test_text_is_encoded_and_decoded(host: Host) -> None:
    run = host.run("""
        const bytes = new TextEncoder().encode('héllo €😀\\ud800');
        const stream = new TextDecoder();
        let fatal;
        try { new TextDecoder('utf-8', {fatal: true}).decode(new Uint8Array([255])) } catch (e) { fatal = e.name }
        [new TextDecoder().decode(bytes), stream.decode(new Uint8Array([0xe2, 0x82]),
            {stream: true}) + stream.decode(new Uint8Array([0xac])),
         new TextDecoder().decode(new Uint8Array([0xf0, 0x9f, 0x41, 0xed, 0xa0, 0x80])),
             new TextDecoder('utf-16le').decode(new Uint8Array([65, 0])),
         new TextDecoder('latin1').decode(new Uint8Array([233])), new TextDecoder().decode(new Uint8Array([0xef,
             0xbb, 0xbf, 65])), fatal,
         btoa('abc') + atob('ZGVm')]
    """)

    assert run.value == ["héllo €😀\ufffd", "€", "\ufffdA\ufffd\ufffd\ufffd", "A", "é", "A", "TypeError", "YWJjdef"]


def test_structured_clones_keep_shape_and_identity(host: Host) -> None:
    run = host.run("""
        const inner = {n: 1n};
        const value = {d: new Date(5), m: new Map([[inner, new Set([2])]]), e: new RangeError('x', {cause: inner}),
            r: /a/gi,
                       u: new Uint16Array([1, 2]), holes: [1, , 3], inner, __proto__: null};
        value.self = value;
        const c = structuredClone(value);
        [c.d.getTime(), c.m.get(c.inner).has(2), c.inner !== inner, c.e instanceof RangeError,
            c.e.cause === c.inner, String(c.r),
         [...c.u], 1 in c.holes, c.self === c]
    """)

    assert run.value == [5, True, True, True, True, "/a/gi", [1, 2], False, True]


@pytest.mark.parametrize("value", ["() => 1", "Symbol('s')", "{f() {}}", "Promise.resolve(1)", "new WeakMap()"])
def test_what_cannot_be_cloned_is_a_data_clone_error(host: Host, value: object) -> None:
    assert host.run(f"try {{ structuredClone({value}) }} catch (e) {{ e.name }}").value == "DataCloneError"


def test_uuids_and_random_bytes_have_their_form(host: Host) -> None:
    uuid, bytes_made = host.run("[crypto.randomUUID(), crypto.getRandomValues(new Uint16Array(3)).length]").value

    assert [len(part) for part in uuid.split("-")] == [8, 4, 4, 4, 12]
    assert uuid[14] == "4"
    assert uuid[19] in "89ab"
    assert bytes_made == 3


def test_math_random_is_uniform_enough_to_be_used(host: Host) -> None:
    low, high, mean = host.run(
        "const r = Array.from({length: 4000}, Math.random);\n"
        "[Math.min(...r), Math.max(...r), r.reduce((a, b) => a + b) / 4000]"
    ).value

    assert 0 <= low < 0.01
    assert 0.99 < high < 1
    assert 0.45 < mean < 0.55


def test_the_cipher_behind_random_is_chacha20(host: Host) -> None:
    """RFC 8439, appendix A.1, test vector 1: key, nonce and counter zero."""
    run = host.run("[...crypto.getRandomValues(new Uint8Array(16))]", seed=bytes(32))

    assert bytes(run.value).hex() == "76b8e0ada0f13d90405d6ae55386bd28"


def test_waiting_costs_turns_and_no_time_of_our_own(host: Host) -> None:
    run = host.run("""
        const order = [];
        setTimeout(() => order.push('b'), 20);
        setTimeout((x, y) => order.push(x + y), 10, 'a', '!');
        const every = setInterval(() => { if (order.push('i') > 4) clearInterval(every) }, 30);
        clearTimeout(setTimeout(() => order.push('never'), 1));
        await new Promise(done => setTimeout(done, 3_600_000));
        order
    """)

    assert run.value == ["a!", "b", "i", "i", "i"]
    assert run.slept_us == 3_600_000_000


def test_a_loop_of_timers_lets_the_host_answer(host: Host) -> None:
    run = host.run(
        "let got; host.x(1).then(r => got = r);\nwhile (!got) await new Promise(done => setTimeout(done, 0));\ngot"
    )

    assert run.value == [1]


def test_abort_signals_cancel_and_time_out(host: Host) -> None:
    run = host.run("""
        const c = new AbortController(), seen = [];
        c.signal.addEventListener('abort', e => seen.push(e.type), {once: true});
        c.signal.onabort = () => seen.push('on');
        c.abort(); c.abort();
        const late = AbortSignal.timeout(10), any = AbortSignal.any([late, new AbortController().signal]);
        await new Promise(done => setTimeout(done, 20));
        let thrown; try { any.throwIfAborted() } catch (e) { thrown = e.name }
        [seen, c.signal.reason.name, late.aborted, thrown]
    """)

    assert run.value == [["on", "abort"], "AbortError", True, "TimeoutError"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("'text', 1, true, null, undefined", "text 1 true null undefined"),
        ("{a: 1, 'b-c': [1, 'two', {d: {}}]}", "{ a: 1, 'b-c': [1, 'two', { d: {} }] }"),
        ("new Map([['k', {v: 1}]]), new Set([1])", "Map(1) { 'k' => { v: 1 } } Set(1) { 1 }"),
        ("new Date(0), /x/g, 5n, Symbol('s'), -0", "1970-01-01T00:00:00.000Z /x/g 5n Symbol(s) -0"),
        ("new (class Point { x = 1 }), Object.create(null)", "Point { x: 1 } [Object: null prototype] {}"),
        ("function f() {}, () => 1, class A {}", "[Function: f] [Function (anonymous)] [Function: A]"),
        ("Promise.resolve(1), new Promise(() => {})", "Promise { 1 } Promise { <pending> }"),
        ("new Uint8Array(2)", "Uint8Array(2) [0, 0]"),
        ("{get x() { throw 1 }}, new Proxy({}, {get() { throw 1 }})", "{ x: [Getter] } [Proxy]"),
        ("'%s has %d of %j%%', 'x', 4, {a: 1}, 'more'", "x has 4 of { a: 1 }% more"),
        ("'100%', '50% off'", "100% 50% off"),
        ("Array(150).fill(0).length, Array.from({length: 102}, (_, i) => i).slice(99)", "150 [99, 100, 101]"),
        ("host", "[host: Object.keys(host) lists its methods]"),
        ("[\"it's\", 'say \"x\"', 'a\\nb']", "[\"it's\", 'say \"x\"', 'a\\nb']"),
    ],
)  # fmt: skip
def test_the_console_shows_values_as_readers_know_them(host: Host, arguments: str, line: str) -> None:
    assert host.run(f"console.log({arguments})").logs == [line]


def test_the_console_shows_cycles_depth_and_length_in_bounds(host: Host) -> None:
    run = host.run("""
        const a = {n: 1}; a.self = a; console.log(a);
        let deep = 1; for (let i = 0; i < 20; i++) deep = {deep}; console.log(deep);
        console.log(Array(1000).fill(7));
    """)

    assert run.logs[0] == "{ n: 1, self: [Circular] }"
    assert run.logs[1].count("deep") == 6
    assert run.logs[2].endswith("7, ... 900 more]")


def test_an_error_on_the_console_says_where_it_was_made(host: Host) -> None:
    run = host.run("\nconsole.error(Object.assign(new TypeError('bad'), {code: 5}))")

    assert run.logs == ["TypeError: bad at 2:33 { code: 5 }"]
    assert run.levels == ["error"]


def test_the_rest_of_the_console_works(host: Host) -> None:
    run = host.run("""
        console.info('i'); console.warn('w'); console.debug('d');
        console.table([{a: 1, b: 'x'}, {a: 2}]);
        console.group('g'); console.log('in\\nside'); console.groupEnd(); console.log('out');
        console.count(); console.count(); console.time('t'); console.timeEnd('t');
        console.assert(1 === 1, 'fine'); console.assert(false, 'not', {x: 1}); console.trace('here');
            console.dir({a: {b: 1}});
    """)

    assert run.logs == ["i", "w", "d", "(index) | a | b\n0 | 1 | x\n1 | 2 | ", "g", "  in\n  side", "out", "default: 1",
                        "default: 2", "t: 0.000ms", "Assertion failed: not { x: 1 }", "Trace: here",
                        "{ a: { b: 1 } }"]  # fmt: skip
    assert run.levels[:3] == ["info", "warn", "debug"]


def test_numbers_and_dates_have_their_american_text(host: Host) -> None:
    run = host.run("""
        const d = new Date(Date.UTC(2024, 0, 5, 15, 4, 9));
        [(1234567.891).toLocaleString(), (0.256).toLocaleString('en-US', {style: 'percent'}),
            (-5).toLocaleString(undefined, {minimumFractionDigits: 2}),
         (1234.5).toLocaleString('en-US', {style: 'currency', currency: 'USD'}), d.toLocaleDateString(),
             d.toLocaleTimeString(), d.toLocaleString(),
         d.toLocaleDateString('en-US', {weekday: 'long', year: 'numeric', month: 'long', day: 'numeric'}),
         d.toLocaleDateString('en-US', {month: 'short', day: 'numeric'}), new Date(NaN).toLocaleString()]
    """)

    assert run.value == ["1,234,567.891", "26%", "-5.00", "$1,234.50", "1/5/2024", "3:04:09 PM", "1/5/2024, 3:04:09 PM",
                         "Friday, January 5, 2024", "Jan 5", "Invalid Date"]  # fmt: skip


@pytest.mark.parametrize(
    "name", ["fetch", "require", "process", "WebAssembly", "Worker", "SharedArrayBuffer", "Atomics", "Intl", "Buffer"]
)
def test_what_is_absent_is_undefined_to_typeof(host: Host, name: str) -> None:
    assert host.run(f"typeof {name}").value == "undefined"
