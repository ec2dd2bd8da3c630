"""Where the store is and how long it keeps what it keeps: ``store``, ``retention``, and the data folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from portal._config import Config
from portal._errors import ConfigError
from portal._limits_config import RetentionConfig
from portal._secret import Secret

SERVERS = "servers: [{id: a, command: cat}]\n"


def load(folder: Path, text: str, **environ: str) -> Config:
    file = folder / "portico.yaml"
    file.write_text(text + SERVERS)
    return Config.load(file, environ)


def test_the_store_is_a_file_in_the_data_folder(tmp_path: Path) -> None:
    assert load(tmp_path, "data_dir: state\n").store_url.path == tmp_path / "state" / "portico.db"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///portico.db", "state/portico.db"),
        ("sqlite+aiosqlite:///tools/a%20b.db", "state/tools/a b.db"),
        ("sqlite:////var/lib/portico.db", "/var/lib/portico.db"),
    ],
)
def test_a_sqlite_path_is_absolute_or_in_the_data_folder(url: str, path: str, tmp_path: Path) -> None:
    assert load(tmp_path, f"data_dir: state\nstore: {url}\n").store_url.path == tmp_path / path


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
def test_a_postgresql_url_is_given_to_its_driver(scheme: str, tmp_path: Path) -> None:
    url = f"{scheme}://portico:${{PW}}@db:5433/tools?sslmode=require"

    store = load(tmp_path, f"store: {url}\n", PW="hunter%402").store_url

    assert store.url == Secret("postgresql+asyncpg://portico:hunter%402@db:5433/tools?ssl=require")
    assert (store.backend, store.path, str(store)) == ("postgresql", None, "postgresql://db:5433/tools")


def test_the_password_in_a_store_url_is_hidden_from_reprs_and_logs(tmp_path: Path) -> None:
    config = load(tmp_path, "store: postgresql://portico:hunter%402@db/tools\n")

    assert "hunter" not in repr(config) + repr(config.store_url)
    assert {Secret("hunter%402"), Secret("hunter@2")} <= set(config.secrets())


@pytest.mark.parametrize(
    "url", ["portico.db", "mysql://u:hunter2@h/d", "sqlite://portico.db", "sqlite:///", "postgresql://h", "http://[x"]
)
def test_an_address_that_is_no_store_is_refused_without_being_repeated(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="store must be like sqlite:///") as caught:
        load(tmp_path, f"store: '{url}'\n")

    assert (caught.value.line, "hunter2" in str(caught.value)) == (1, False)


def test_retention_has_defaults_and_bounds(tmp_path: Path) -> None:
    config = load(tmp_path, "retention: {logs_days: 7}\n")

    assert config.retention == RetentionConfig(logs_days=7, results_minutes=15)
    with pytest.raises(ConfigError, match=r"retention\.results_minutes must be between 1 and 1440"):
        RetentionConfig(results_minutes=0)


def test_the_environment_names_the_data_folder_before_the_file_and_before_the_users(tmp_path: Path) -> None:
    environ = {"PORTICO_DATA_DIR": "/srv/portico", "XDG_DATA_HOME": "/data"}

    assert load(tmp_path, "data_dir: state\n", **environ).data_dir == Path("/srv/portico")
    assert Config.demo(environ).data_dir == Path("/srv/portico")
