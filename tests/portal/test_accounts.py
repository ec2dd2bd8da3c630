"""With whose account a server is called: what is learned from its results is that account's own."""

from __future__ import annotations

import pytest

from portal._server_config import ServerConfig
from portal.upstream import Caller, Fleet


@pytest.mark.parametrize(
    ("server", "accounts"),
    [
        (ServerConfig(id="demo", transport="demo"), {}),
        (ServerConfig(id="demo", transport="demo", per_user=True), {"demo": "ann"}),
        (ServerConfig(id="demo", transport="demo", session="user"), {"demo": "ann"}),
        (ServerConfig(id="demo", transport="demo", session="client"), {"demo": "ann"}),
    ],
)
def test_a_caller_has_an_account_where_sessions_are_not_shared(server: ServerConfig, accounts: dict[str, str]) -> None:
    fleet = Fleet([server])

    assert fleet.accounts(Caller(user="ann", client="c1")) == accounts
