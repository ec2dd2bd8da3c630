"""The guest as it is built: what the module holds, and when it is built again."""

from __future__ import annotations

import importlib.util
import json
from typing import TYPE_CHECKING

import pytest
import wasmtime

from sandbox._guest import GuestModule, configure, precompile
from sandbox._module_cache import GUEST_PATH, find_in

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType


def load(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def build(root: Path) -> ModuleType:
    return load(root / "sandbox" / "guest" / "build.py", "guest_build")


@pytest.fixture(scope="module")
def snapshot(root: Path) -> ModuleType:
    return load(root / "sandbox" / "guest" / "snapshot.py", "guest_snapshot")


@pytest.fixture(scope="module")
def module() -> wasmtime.Module:
    return wasmtime.Module.from_file(wasmtime.Engine(configure()), str(GUEST_PATH))


def test_the_module_imports_nothing(module: wasmtime.Module) -> None:
    assert list(module.imports) == []


def test_the_module_exports_its_abi_and_nothing_of_its_build(module: wasmtime.Module) -> None:
    names = ["memory", "portico_control", "portico_prepare", "portico_reserve", "portico_settle", "portico_start"]

    assert sorted(export.name for export in module.exports) == names


def test_the_module_knows_what_it_was_made_of(build: ModuleType, snapshot: ModuleType) -> None:
    assert snapshot.inputs_of(GUEST_PATH.read_bytes()) == build.inputs()
    assert build.is_stale() is False
    assert build.requirements() == []


def test_a_module_of_other_inputs_is_stale_and_asks_for_what_its_build_needs(
    build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "GUEST", tmp_path / "guest.wasm")
    monkeypatch.setattr(build, "ROOT", tmp_path)
    build.GUEST.write_bytes(GUEST_PATH.read_bytes()[:-1] + b"?")

    assert build.is_stale() is True
    assert build.requirements() == ["pip", "wasmtime==50.0.1", "ziglang==0.17.0"]


def test_a_change_of_the_prelude_asks_for_no_compiler(
    build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "GUEST", tmp_path / "guest.wasm")
    monkeypatch.setattr(build, "_bare_path", lambda: GUEST_PATH)

    assert build.requirements() == ["wasmtime==50.0.1"]


def test_neither_source_text_nor_a_path_of_the_build_is_in_the_module(root: Path) -> None:
    content = GUEST_PATH.read_bytes()

    assert str(root).encode() not in content
    assert b"sandbox/guest" not in content
    assert b"a program may replace" not in content  # of the prelude's comments


def test_the_licence_of_quickjs_lies_beside_its_module() -> None:
    assert "Copyright (c) 2017-2026 Fabrice Bellard" in (GUEST_PATH.parent / "guest" / "LICENSE.quickjs-ng").read_text()


def test_the_pinned_runtime_is_the_one_that_makes_the_snapshot(build: ModuleType, root: Path) -> None:
    assert f'"{build.WASMTIME}"' in (root / "pyproject.toml").read_text()


def test_a_module_with_an_import_is_refused(snapshot: ModuleType) -> None:
    bare = wasmtime.wat2wasm(
        '(module (import "env" "f" (func)) (memory (export "memory") 17) (global (mut i32) (i32.const 1048576))'
        ' (func (export "_initialize")))'
    )

    with pytest.raises((snapshot.GuestBuildError, wasmtime.WasmtimeError)):
        snapshot.make_snapshot(bytes(bare), [], inputs="x")


def test_a_prelude_that_fails_says_why_and_where(build: ModuleType, snapshot: ModuleType) -> None:
    bare = build._bare_path()
    if not bare.is_file():
        pytest.skip("this checkout's guest was built elsewhere")

    with pytest.raises(snapshot.GuestBuildError, match=r"broken\.js failed") as failed:
        snapshot.make_snapshot(bare.read_bytes(), [("broken.js", "(natives) => { natives.nothing.x }")], inputs="x")

    reason = json.loads(str(failed.value).partition("failed: ")[2])
    assert reason["message"] == "cannot read property 'x' of undefined"


def test_the_same_inputs_make_the_same_snapshot(build: ModuleType, snapshot: ModuleType) -> None:
    bare = build._bare_path()
    if not bare.is_file():
        pytest.skip("this checkout's guest was built elsewhere")

    assert snapshot.make_snapshot(bare.read_bytes(), build._prelude(), inputs=build.inputs()) == GUEST_PATH.read_bytes()


def test_the_compiled_module_is_kept_where_only_its_user_can_write(tmp_path: Path) -> None:
    """It is native code that wasmtime runs without looking: DESIGN section 3."""
    cache = tmp_path / "cache"

    compiled = precompile(cache)
    again = precompile(cache)

    assert compiled == again
    assert cache.stat().st_mode & 0o777 == 0o700
    assert compiled.stat().st_mode & 0o077 == 0
    assert [path.name for path in cache.iterdir()] == [compiled.name]


def test_a_compiled_module_that_others_can_write_is_refused(tmp_path: Path) -> None:
    precompile(tmp_path / "cache").chmod(0o666)

    with pytest.raises(PermissionError, match="nobody else may write it"):
        precompile(tmp_path / "cache")


def test_a_module_compiled_for_another_configuration_is_refused(tmp_path: Path) -> None:
    other = wasmtime.Module(wasmtime.Engine(), b"\0asm\1\0\0\0").serialize()

    with pytest.raises(wasmtime.WasmtimeError):
        GuestModule.from_serialized(bytes(other))


def test_a_module_may_come_from_bytes(cache_dir: Path) -> None:
    module = GuestModule.from_serialized(precompile(cache_dir).read_bytes())

    module.increment_epoch()
    assert module.control_address is None


def test_a_compiled_module_is_found_without_wasmtime_only_where_nobody_else_can_write(tmp_path: Path) -> None:
    cache = tmp_path / "cache"

    assert find_in(cache) is None
    compiled = precompile(cache)
    assert find_in(cache) == compiled
    compiled.chmod(0o620)
    assert find_in(cache) is None
    compiled.chmod(0o600)
    cache.chmod(0o702)
    assert find_in(cache) is None
