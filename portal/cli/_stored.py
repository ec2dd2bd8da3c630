"""The options of the commands that read records, and how records are read and shown."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import typer

from portal.cli._failures import UsageError
from portal.store import RecordFilter, Store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from portal._config import Config
    from typegen import JsonObject, JsonValue

Since: TypeAlias = Annotated[
    str | None, typer.Option("--since", metavar="AGE", help="Not older than this: 90s, 15m, 24h, 7d.")
]
OfUser: TypeAlias = Annotated[str | None, typer.Option("--user", metavar="ID", help="Of this user only.")]
OfPortal: TypeAlias = Annotated[str | None, typer.Option("--portal", metavar="ID", help="Of this portal only.")]
Failed: TypeAlias = Annotated[bool, typer.Option("--failed", help="Only what did not end well.")]
Limit: TypeAlias = Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="At most so many.")]

_UNIT_S: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def since_of(age: str | None) -> float | None:
    """The Unix time that lies ``age`` back. Raises ``UsageError`` for what is no age."""
    if age is None:
        return None
    found = re.fullmatch(r"(\d{1,6})([smhd])", age)
    if found is None:
        raise UsageError(f'--since "{age}" is no age: write 90s, 15m, 24h or 7d.')
    return time.time() - int(found[1]) * _UNIT_S[found[2]]


async def read_calls(config: Config, wanted: RecordFilter) -> list[JsonObject]:
    """Read records of calls from the store, which is there and current, or ``StoreUnusable``."""
    async with Store(config.store_url, retention=config.retention, may_change=False) as store:
        return await store.records.calls(wanted)


async def read_runs(config: Config, wanted: RecordFilter) -> list[JsonObject]:
    """Read records of runs likewise."""
    async with Store(config.store_url, retention=config.retention, may_change=False) as store:
        return await store.records.runs(wanted)


def shown_time(record: Mapping[str, JsonValue]) -> str:
    """When it was, in the time zone of the machine."""
    moment = record["time"]
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment if isinstance(moment, int | float) else 0))


def shown_ms(record: Mapping[str, JsonValue]) -> str:
    """How long it took."""
    duration = record["duration_ms"]
    return f"{duration:.0f} ms" if isinstance(duration, int | float) else ""
