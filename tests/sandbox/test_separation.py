"""Two runs never see each other. Citation: probes 57 and 65 of the threat model."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import anyio

from tests.sandbox._programs import executor, value_of

if TYPE_CHECKING:
    from sandbox import JsonValue, Sandbox
    from tests.sandbox._programs import Execute

PLANT = """
globalThis.planted = %(secret)r; Object.prototype.planted = %(secret)r; Array.prototype[7] = %(secret)r
Function.prototype.planted = %(secret)r; host.planted = %(secret)r; console.planted = %(secret)r
JSON.parse = () => %(secret)r; Promise.prototype.planted = %(secret)r; Symbol.for(%(secret)r)
setInterval(() => { globalThis.planted = %(secret)r }, 1)
const heap = Array.from({length: 200}, () => new TextEncoder().encode(%(secret)r)); 1
"""

LOOK = """
const seen = new Set(), found = []
const look = (value, depth) => {
  if (typeof value === "string" && value.includes("secret-")) found.push(value)
  if (!value || (typeof value !== "object" && typeof value !== "function") || seen.has(value) || depth > 6) return
  seen.add(value)
  for (const key of Reflect.ownKeys(value)) {
    try { look(key, depth); look(value[key], depth + 1) } catch {}
  }
  look(Object.getPrototypeOf(value), depth + 1)
}
look(globalThis, 0)
const bytes = new Uint8Array(2 ** 14)
return [found, [][7] ?? null, typeof planted, bytes.some(byte => byte), JSON.parse("[1]")]
"""


async def test_a_thousand_alternating_runs_see_nothing_of_each_other(execute: Execute) -> None:
    seen: list[JsonValue] = []
    for _ in range(500):
        await execute(PLANT % {"secret": f"secret-{secrets.token_hex(8)}"})
        seen.append(value_of(await execute(LOOK)))

    assert seen == [[[], None, "undefined", False, [1]]] * 500


async def test_runs_that_wait_beside_each_other_in_one_worker_see_only_their_own(lone_worker: Sandbox) -> None:
    execute, values = executor(lone_worker), list["JsonValue"]()

    async def run(number: int) -> None:
        source = f"globalThis.mine = {number}; for (let i = 0; i < 5; i++) await host.echo(i); mine"
        values.append(value_of(await execute(source)))

    async with anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(run, number)

    assert sorted(str(value) for value in values) == sorted(str(number) for number in range(50))


async def test_no_two_runs_draw_the_same_random_numbers(execute: Execute) -> None:
    drawn = [value_of(await execute("Math.random()")) for _ in range(50)]

    assert len(set(map(str, drawn))) == 50
