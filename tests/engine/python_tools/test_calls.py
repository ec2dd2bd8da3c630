"""Typed Python functions called by programs: arguments, results, threads."""

from __future__ import annotations

import threading
from datetime import date, datetime
from typing import TYPE_CHECKING

from portico import (
    Tools,
)
from tests.engine.python_tools.shop import Address, Line, Order, State

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from portico import Answer


PATIENCE_S = 20.0


async def test_a_program_calls_typed_functions_and_gets_what_they_return(
    tools: Tools, run: Callable[[str], Awaitable[Answer]]
) -> None:
    @tools.tool
    def find_orders(customer: str, limit: int = 10) -> list[Order]:
        placed = datetime.fromisoformat("2026-01-02T03:04:05")
        order = Order(id=limit, state=State.OPEN, placed=placed, lines=[Line(customer)])
        return [order]

    answer = await run('(await codemode.shop_find_orders({ customer: "ada" }))[0]')

    assert answer.text == '{"id":10,"state":"open","placed":"2026-01-02T03:04:05","lines":[{"sku":"ada","count":1}]}'
    assert [(call.identifier, call.status) for call in answer.run.calls] == [("shop_find_orders", "ok")]


async def test_arguments_arrive_as_the_types_of_the_annotations(
    tools: Tools, run: Callable[[str], Awaitable[Answer]]
) -> None:
    seen: list[object] = []

    @tools.tool
    async def order(
        state: State, lines: list[Line], to: Address, by: date | None = None, when: date | None = None
    ) -> None:
        seen.extend([state, lines, to, by, when])

    answer = await run("""
        const to = { street: "1 High St", city: "York" };
        codemode.shop_order({ state: "sent", lines: [{ sku: "tea" }], to, by: "2026-03-01" })
    """)

    assert seen == [State.SENT, [Line("tea", 1)], {"street": "1 High St", "city": "York"}, date(2026, 3, 1), None]
    assert answer.text == "null"


async def test_an_asynchronous_function_runs_on_the_loop_and_a_synchronous_one_in_a_thread(
    tools: Tools, run: Callable[[str], Awaitable[Answer]]
) -> None:
    here = threading.get_ident()

    @tools.tool
    async def on_loop() -> bool:
        return threading.get_ident() == here

    @tools.tool
    def in_thread() -> bool:
        return threading.get_ident() != here

    assert (await run("[await codemode.shop_on_loop({}), await codemode.shop_in_thread({})]")).text == "[true,true]"


async def test_calls_that_a_program_makes_together_run_together(
    tools: Tools, run: Callable[[str], Awaitable[Answer]]
) -> None:
    barrier = threading.Barrier(3)

    @tools.tool
    def meet() -> int:
        return barrier.wait(PATIENCE_S) * 0

    answer = await run("Promise.all([1, 2, 3].map(() => codemode.shop_meet({})))")

    assert answer.text == "[0,0,0]"


async def test_the_decorated_function_stays_the_function(tools: Tools) -> None:
    @tools.tool(name="double", title="Double")
    def twice(number: int) -> int:
        return 2 * number

    assert twice(4) == 8
    assert [(tool.name, tool.title) for tool in await tools.list_tools()] == [("double", "Double")]


async def test_methods_and_callable_objects_can_be_tools(tools: Tools, run: Callable[[str], Awaitable[Answer]]) -> None:
    class Till:
        total = 5

        def sum_up(self, plus: int) -> int:
            return self.total + plus

        async def __call__(self, minus: int) -> int:
            return self.total - minus

    tools.tool(Till().sum_up)
    tools.tool(name="refund")(Till())

    assert (
        await run("[await codemode.shop_sum_up({ plus: 1 }), await codemode.shop_refund({ minus: 1 })]")
    ).text == "[6,4]"


async def test_a_returned_image_stands_beside_the_text(tools: Tools, run: Callable[[str], Awaitable[Answer]]) -> None:
    @tools.tool
    def photo(sku: str) -> dict[str, str]:
        return {"type": "image", "data": "aGk=", "mimeType": "image/png"}

    answer = await run('({ sku: "tea", photo: await codemode.shop_photo({ sku: "tea" }) })')

    assert answer.text == '{"sku":"tea","photo":"[image 1]"}'
    assert answer.blocks[1] == {"type": "image", "data": "aGk=", "mimeType": "image/png"}


async def test_text_that_looks_like_json_stays_text(tools: Tools, run: Callable[[str], Awaitable[Answer]]) -> None:
    @tools.tool
    def note() -> str:
        return "[1, 2]"

    assert (await run("typeof await codemode.shop_note({})")).text == "string"


async def test_values_beyond_json_become_the_nearest_json(
    tools: Tools, run: Callable[[str], Awaitable[Answer]]
) -> None:
    @tools.tool
    def values() -> list[float | None]:
        return [float("nan"), 10**30]

    assert (await run("codemode.shop_values({})")).text == "[null,1e+30]"
