from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import postgresql_server
import pytest
from postgresql_server import PostgresqlServer

from imagebuild.ledger import address
from imagebuild.ledger.address import LedgerAddress


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresqlServer]:
    with postgresql_server.running() as found:
        yield found


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LedgerAddress:
    """The address of a new ledger, in each kind of database."""
    if request.param == "sqlite":
        return address.parsed(str(tmp_path / "ledger.sqlite"))
    server: PostgresqlServer = request.getfixturevalue("server")
    monkeypatch.setenv("PGPASSFILE", str(server.password_file))
    name = f"test{abs(hash(tmp_path))}"
    server.create(name)
    return address.parsed(server.url(name))
