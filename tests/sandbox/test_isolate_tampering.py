"""Programs that replace what the language gives them: what leaves the isolate stays the same, and nothing stays behind.

The probes are those of SECURITY.md section 2b, A, E and F.
"""

from __future__ import annotations

import ctypes
import json
import struct
from typing import TYPE_CHECKING, cast

import pytest

from sandbox._errors import ProtocolError
from sandbox._isolate import IsolateTrap
from tests.sandbox._isolates import CLOCK_US, SEED, make_setup

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox._instance import Instance
    from sandbox._isolate import Isolate
    from tests.sandbox._isolates import Host

CALL = "const got = await host.tracker_list({a: [1, 'two'], b: {c: true}});\n"
ARGS = [{"a": [1, "two"], "b": {"c": True}}]


@pytest.mark.parametrize(
    "tampering",
    [
        "JSON.stringify = () => '[\"forged\"]'; JSON.parse = () => 'forged'",
        "Promise = class {}; Promise.prototype = {}",
        "Object.getPrototypeOf(host.y).then = 1",
        "const P = Promise.prototype; P.then = function () { throw 1 }; P.catch = P.then; P.finally = P.then",
        "Array.prototype.map = Array.prototype.push = Array.prototype.join = Array.prototype.slice = () => { throw 1 }",
        "Array.prototype[Symbol.iterator] = function* () { yield 'forged' }",
        "Object.prototype.toJSON = () => 'forged'; Array.prototype.toJSON = () => 'forged'",
        "String.prototype.toJSON = Number.prototype.toJSON = Boolean.prototype.toJSON = () => 'forged'",
        "Object.prototype.value = 'forged'; Object.prototype.ok = false; Object.prototype.error = {}",
        "Object.prototype.get = () => 'forged'; Object.prototype.set = () => {}",
        "Object.defineProperty(Array.prototype, 0, {set() {}, get() { return 'forged' }})",
        "Function.prototype.call = Function.prototype.apply = Function.prototype.bind = () => { throw 1 }",
        "Reflect.apply = Reflect.ownKeys = Reflect.get = () => { throw 1 }",
        "Object.keys = Object.entries = Object.defineProperty = () => { throw 1 }",
        "Map.prototype.get = Map.prototype.set = Set.prototype.has = () => { throw 1 }",
        "String.prototype.split = String.prototype.replaceAll = String.prototype.toLowerCase = () => { throw 1 }",
        "Proxy = null; Symbol = null; Error = null; TypeError = null; Array = null; String = null",
        "Error.prepareStackTrace = () => { throw 1 }; Error.stackTraceLimit = 0",
    ],
)
def test_tampering_before_a_call_changes_nothing_that_crosses(host: Host, tampering: str) -> None:
    """Probes 8 and 9."""
    run = host.run(
        f"{tampering};\n{CALL}console.log('ok', 1); got", lambda call: {"ok": True, "value": call["args"][0]}
    )

    assert [(call["method"], call["args"]) for call in run.calls] == [("tracker_list", ARGS)]
    assert run.value == ARGS[0]
    assert run.logs == ["ok 1"]


def test_a_poisoned_then_cannot_change_what_a_call_sends(host: Host) -> None:
    """Probe 8."""
    run = host.run(f"let seen = 0;\nObject.prototype.then = function (done) {{ seen++; done('forged') }};\n{CALL}got")

    assert run.calls[0]["args"] == ARGS


def test_replacing_the_namespace_leaves_nothing_to_call_with(host: Host) -> None:
    """Probe 9."""
    run = host.run("globalThis.host = {tracker_list: () => 'own'}; host.tracker_list()")

    assert run.value == "own"
    assert run.calls == []


def test_arguments_are_read_once_whatever_their_traps_do(host: Host) -> None:
    """Probes 10 and 11."""
    run = host.run("""
        let reads = 0;
        const shifty = {get a() { return ++reads }, b: {toJSON() { host.y('inner'); return 'json' }}};
        const proxy = new Proxy({p: 1}, {get: (t, k) => (k === 'p' ? ++reads : undefined)});
        await host.x(shifty, proxy);
        reads
    """)

    assert run.value == 2
    assert [(call["method"], call["args"]) for call in run.calls] == [
        ("y", ["inner"]),
        ("x", [{"a": 1, "b": "json"}, {"p": 2}]),
    ]


def test_a_trap_that_throws_while_arguments_are_read_rejects_the_call(host: Host) -> None:
    """Probe 11."""
    run = host.run("try { await host.x({get a() { throw new Error('mine') }}) } catch (e) { e.message }")

    assert run.value == "mine"
    assert run.calls == []


@pytest.mark.parametrize(
    "value",
    [
        "({[Symbol.toPrimitive]: () => { throw 1 }, a: 1})",
        "({a: 1, get [Symbol.toStringTag]() { throw 1 }})",
        "Object.assign([1], {[Symbol.isConcatSpreadable]: true, [Symbol.species]: 1}) && {a: 1}",
        "Object.setPrototypeOf({a: 1}, null)",
        "Object.setPrototypeOf({a: 1}, new Proxy({}, {getPrototypeOf: t => t}))",
    ],
)
def test_symbols_and_prototypes_have_no_effect_outside(host: Host, value: object) -> None:
    """Probe 12."""
    assert host.run(f"await host.x({value}); ({value})").value == {"a": 1}


def test_the_constructor_chain_ends_in_the_isolates_own_global(host: Host) -> None:
    """Probes 1 and 3."""
    run = host.run("""
        const global = this.constructor.constructor('return this')();
        const AsyncFunction = (async () => {}).constructor;
        [global === globalThis, ['process', 'require', 'std', 'os', 'fetch', 'WebAssembly', 'Worker',
            'SharedArrayBuffer',
            'Atomics', 'natives', 'module'].filter(name => name in global || eval('typeof ' + name) !== 'undefined'),
         await AsyncFunction('return typeof natives + typeof primordials')()]
    """)

    assert run.value == [True, [], "undefinedundefined"]


def test_neither_caller_nor_arguments_lead_into_our_functions(host: Host) -> None:
    """Probe 7."""
    run = host.run("""
        let caller = 'unset';
        function probe() {
            try { caller = probe.caller ?? arguments.callee.caller ?? null } catch (e) { caller = e.name }
            return 1
        }
        setTimeout(probe, 1);
        await host.x({toJSON: probe});
        await new Promise(done => setTimeout(done, 5));
        caller
    """)

    assert run.value is None or run.value == "TypeError"


def test_nothing_reachable_holds_our_natives(host: Host) -> None:
    """Probe 2, without the list of names: that is test_guest_globals.py's."""
    run = host.run("""
        const seen = new Set(), found = [], ours = ['natives', 'primordials', 'setTimer', 'addErrorClass', 'begin',
            'randomFill'];
        const walk = (value) => {
            if ((typeof value !== 'object' && typeof value !== 'function') || value === null || seen.has(value)) return;
            seen.add(value);
            for (const key of Reflect.ownKeys(value)) {
                if (ours.includes(key)) found.push(key);
                const field = Reflect.getOwnPropertyDescriptor(value, key);
                for (const next of [field.value, field.get, field.set]) walk(next);
            }
            walk(Reflect.getPrototypeOf(value));
        };
        walk(globalThis);
        walk(console.log);
        [found, seen.size > 500]
    """)

    assert run.value == [[], True]


def test_isolates_share_nothing(host: Host) -> None:
    """Probe 57."""
    plant = (
        "globalThis.secret = 1; Object.prototype.secret = 2; Array.prototype.at = () => 'stolen'; console.log = null; 1"
    )
    look = "[typeof secret, ({}).secret === undefined, [7].at(0), typeof console.log]"

    for _ in range(50):
        assert host.run(plant).value == 1
        assert host.run(look).value == ["undefined", True, 7, "function"]


def test_random_numbers_follow_the_seed_and_nothing_else(host: Host) -> None:
    """Probe 65."""
    source = "[Math.random(), crypto.randomUUID(), [...crypto.getRandomValues(new Uint8Array(40))]]"

    assert host.run(source).value == host.run(source).value
    assert host.run(source).value != host.run(source, seed=bytes(32)).value


def test_the_clock_stands_still_during_a_turn_and_moves_between(host: Host) -> None:
    """Probe 64."""
    run = host.run("""
        const at = [Date.now(), performance.now()];
        for (let i = 0; i < 1e5; i++);
        const after = [Date.now(), performance.now()];
        await new Promise(done => setTimeout(done, 250));
        [at, after, Date.now() - at[0], performance.now(), new Date().getTimezoneOffset(), performance.timeOrigin]
    """)

    start_ms = CLOCK_US / 1000
    assert run.value == [[start_ms, 0], [start_ms, 0], 250, 250, 0, start_ms]


# ---- a guest that controls its own memory (probe 55): the host believes none of it ----


@pytest.mark.parametrize(
    "corruption",
    [
        {"outbox": 0xFFFFFFF0},
        {"length": 0xFFFFFFFF},
        {"outbox": 2**31, "length": 64},
        {"abi": 1},
        {"length": 3},
    ],
)
def test_a_control_block_that_lies_is_a_protocol_error(host: Host, corruption: dict[str, int]) -> None:
    isolate = host.isolate()
    isolate.start(make_setup(), b"console.log('x'); await host.x(1)", clock_us=CLOCK_US, seed=SEED)
    at = {"abi": 0, "outbox": 56, "length": 60}

    with pytest.raises(ProtocolError):
        _settle_corrupted(isolate, {at[name]: value for name, value in corruption.items()})
    isolate.close()


@pytest.mark.parametrize("record", [b"\x05\0\0\0C{}", b"\xff\xff\xff\xffE", b"\0\0\0\0X", b"\0\0\0\0E\0\0\0\0E"])
def test_records_that_are_none_are_a_protocol_error(host: Host, record: bytes) -> None:
    isolate = host.isolate()
    isolate.start(make_setup(), b"await host.x(1)", clock_us=CLOCK_US, seed=SEED)
    inbox = struct.unpack("<I", _read(isolate, 48, 4))[0]

    with pytest.raises(ProtocolError):
        _settle_corrupted(isolate, {56: inbox + 4096, 60: len(record)}, {inbox + 4096: record})
    isolate.close()


def test_an_inbox_outside_of_memory_is_a_protocol_error(host: Host) -> None:
    isolate = host.isolate()
    isolate.start(make_setup(), b"await host.x(1)", clock_us=CLOCK_US, seed=SEED)
    _write(isolate, 48, struct.pack("<I", 0xFFFFFF00))

    with pytest.raises(ProtocolError):
        isolate.settle(b"[]", clock_us=CLOCK_US)
    isolate.close()


def test_a_heap_in_ruins_ends_that_isolate_alone(host: Host) -> None:
    """Probe 56."""
    isolate = host.isolate()
    isolate.start(make_setup(), b"const keep = [1, {a: 2}]; await host.x(1); keep", clock_us=CLOCK_US, seed=SEED)
    base, size = isolate._instance.base, isolate._instance.size
    ctypes.memset(base + size // 4, 0xA5, size // 2)

    with pytest.raises((IsolateTrap, ProtocolError)):
        isolate.settle(b'[{"id":1,"ok":true,"value":1}]', clock_us=CLOCK_US)
    isolate.close()
    assert host.run("1 + 1").value == 2


def _read(isolate: Isolate, offset: int, size: int) -> bytes:
    return ctypes.string_at(isolate._control + offset, size)


def _write(isolate: Isolate, offset: int, data: bytes) -> None:
    ctypes.memmove(isolate._control + offset, data, len(data))


def _settle_corrupted(isolate: Isolate, words: dict[int, int], memory: dict[int, bytes] | None = None) -> None:
    """Settle, with the control block written over between the guest's return and the host's look at it."""
    call = isolate._instance.call

    def call_then_corrupt(name: bytes, argument: int = 0) -> int:
        status = call(name, argument)
        for address, data in (memory or {}).items():
            ctypes.memmove(isolate._instance.base + address, data, len(data))
        for offset, word in words.items():
            _write(isolate, offset, struct.pack("<I", word))
        return status

    isolate._instance = cast("Instance", _Wrapped(isolate._instance, call_then_corrupt))
    isolate.settle(json.dumps([{"id": 1, "ok": True, "value": 1}]).encode(), clock_us=CLOCK_US)


class _Wrapped:
    def __init__(self, instance: Instance, call: Callable[..., int]) -> None:
        self._instance = instance
        self.call = call

    def __getattr__(self, name: str) -> object:
        return getattr(self._instance, name)
