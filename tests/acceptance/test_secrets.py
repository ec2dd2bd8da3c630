"""The credential of an upstream is nowhere that a program, a client or a reader of logs could find it."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.acceptance._clients import SdkClient
from tests.acceptance._running import RunningPortal, portico, serving
from tests.acceptance._upstream import guarded_server, listening, refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "Zx9-opaque-upstream-credential-7Qk2"
# As it is, and as it would look inside a base64 text at each of the three offsets.
SPELLINGS = [
    SECRET.encode(),
    *(base64.b64encode(b"\0" * offset + SECRET.encode())[4:40] for offset in range(3)),
    SECRET.encode().hex().encode(),
]

# Walks everything that a program can reach, through prototypes, symbols, accessors and what calls return.
EXPLORER = """
const seen = new Set(), found = [];
function visit(value, depth) {
  if (typeof value === "string") return void found.push(value);
  if (value === null || (typeof value !== "object" && typeof value !== "function")) return;
  if (seen.has(value) || depth > 12) return;
  seen.add(value);
  if (typeof value === "function") found.push(Function.prototype.toString.call(value));
  for (const key of Reflect.ownKeys(value)) {
    found.push(String(key));
    try { visit(value[key], depth + 1); } catch (error) { visit(error, depth + 1); }
  }
  visit(Object.getPrototypeOf(value), depth + 1);
}
visit(globalThis, 0);
visit(codemode, 0);
visit(await codemode.servers(), 0);
visit(await codemode.search("vault"), 0);
visit(await codemode.describe(["vault_count_items", "vault_open_vault"]), 0);
visit(await codemode.raw("vault_count_items", {}), 0);
for (const name of ["vault_open_vault", "vault_nothing", "refused_anything"]) {
  try { await codemode[name]({}); } catch (error) { visit(error, 0); found.push(String(error.stack)); }
}
"""
EXPLORE = EXPLORER + "console.log(found.length); return found.filter(text => /opaque|bearer|authoriz/i.test(text));"
COUNT = EXPLORER + "return found.length;"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPortal]:
    """A portal that logs at DEBUG over a server behind a bearer token, and over one that refuses all who come."""
    with (
        listening(guarded_server(SECRET)) as vault,
        listening(refusal()) as refused,
        serving(
            {
                "servers": [
                    {"id": "vault", "url": vault, "auth": {"type": "bearer", "token": "${VAULT_TOKEN}"}},
                    {"id": "refused", "url": refused, "auth": {"type": "headers", "headers": {"X-Key": SECRET}}},
                ]
            },
            tmp_path_factory.mktemp("guarded"),
            arguments=["--debug"],
            environ={"VAULT_TOKEN": SECRET},
        ) as portal,
    ):
        yield portal


def readable_memory(pid: int) -> Iterator[bytes]:
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            start, end, permissions = re.match(r"(\w+)-(\w+) (\S+)", line).groups()  # type: ignore[union-attr] # the kernel's own form
            if permissions.startswith("rw") and "[v" not in line:
                memory.seek(int(start, 16))
                yield memory.read(int(end, 16) - int(start, 16))


def leaks(content: bytes) -> list[bytes]:
    return [spelling for spelling in SPELLINGS if spelling in content]


async def test_a_program_that_enumerates_everything_reachable_finds_no_credential(guarded: RunningPortal) -> None:
    async with SdkClient(mode="auto").connect(guarded.code_mode_url) as session:
        works = await session.call("code", {"code": "return await codemode.vault_count_items()"})
        visited = await session.call("code", {"code": COUNT})
        answer = await session.call("code", {"code": EXPLORE})

    assert "42" in works
    assert int(visited) > 1_000
    assert "opaque" not in answer
    assert leaks(answer.encode()) == []


async def test_no_error_that_a_client_gets_holds_the_credential(guarded: RunningPortal) -> None:
    async with SdkClient(mode="auto").connect(guarded.url) as session:
        listed = await session.call("portal_list_servers", {})
        failed = await session.call("vault_open_vault", {})
    bad_query = httpx.post(f"{guarded.url}?codemode=wrong", json={"jsonrpc": "2.0", "id": 1, "method": "ping"})

    assert "refused" in listed
    assert "the vault is shut" in failed
    assert bad_query.status_code == 400
    assert leaks((listed + failed + bad_query.text).encode()) == []


async def test_no_worker_holds_the_credential_in_its_environment_its_files_or_its_memory(
    guarded: RunningPortal,
) -> None:
    async with SdkClient(mode="auto").connect(guarded.code_mode_url) as session:
        await session.call("code", {"code": "return await codemode.vault_count_items()"})
    workers = list(guarded.descendants())
    shown = {
        (pid, name): Path(f"/proc/{pid}/{name}").read_bytes()
        for pid in workers
        for name in ("environ", "cmdline", "status", "maps", "comm", "mountinfo", "limits")
    }
    memory = {pid: b"".join(readable_memory(pid)) for pid in workers}

    assert workers
    assert all(memory.values())
    assert [place for place, content in shown.items() if leaks(content)] == []
    assert [pid for pid, content in memory.items() if leaks(content)] == []
    assert [pid for pid in workers if b"VAULT_TOKEN" in shown[pid, "environ"]] == []


async def test_logs_at_debug_do_not_hold_the_credential(guarded: RunningPortal) -> None:
    async with SdkClient(mode="legacy").connect(guarded.url) as session:
        await session.call("vault_count_items", {})
    log = guarded.log.read_bytes()

    assert b"DEBUG" in log or b"debug" in log
    assert leaks(log) == []


def test_an_upstream_that_refuses_is_told_without_the_credential(tmp_path: Path) -> None:
    with listening(refusal()) as url:
        config = tmp_path / "portico.yaml"
        config.write_text(f"servers: [{{id: refused, url: '{url}', auth: {{type: bearer, token: '{SECRET}'}}}}]")
        told = portico("doctor", "--config", str(config), "--debug")

    assert "403" in told.stdout + told.stderr
    assert leaks((told.stdout + told.stderr).encode()) == []
