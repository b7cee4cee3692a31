"""Connects to a ledger's database, and updates its tables: the only user of SQLAlchemy's engines and
of Alembic.

SQLAlchemy, because the same queries run on SQLite and PostgreSQL; Alembic, because it is
SQLAlchemy's own tool for migrations.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, NullPool, create_engine, event, insert, select, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from imagebuild.errors import HostError
from imagebuild.ledger.address import LedgerAddress
from imagebuild.ledger.tables import LEDGER
from imagebuild.log import redact

_MIGRATIONS = Path(__file__).with_name("migrations")
_BUSY = 30.0
"""Seconds to wait for another program that is writing; a write takes milliseconds."""
_SILENCE = 15
"""Seconds after which a PostgreSQL server that does not answer is away. Without a limit TCP would send
again for a quarter of an hour, and a worker that is cut off would build on for as long.
"""
_CONNECTION = {
    "connect_timeout": _SILENCE,
    "keepalives_idle": _SILENCE // 3,
    "keepalives_interval": _SILENCE // 3,
    "keepalives_count": 2,
    "tcp_user_timeout": _SILENCE * 1000,
}
_SESSION = (
    f"SET lock_timeout = '{_BUSY:.0f}s'",
    # who is cut off in the middle of a transaction must not keep its rows locked for others
    f"SET idle_in_transaction_session_timeout = '{_BUSY:.0f}s'",
)
_MIGRATION_LOCK = 0x696D6167656275
"""PostgreSQL's advisory lock of the migrations: any number that nobody else is likely to use."""
_CLOCKS = {
    "sqlite": "(julianday('now') - 2440587.5) * 86400.0",
    "postgresql": "extract(epoch from clock_timestamp())::double precision",
}


class LedgerDatabase:
    """A ledger's database. Each block of ``writing`` is one transaction."""

    def __init__(self, address: LedgerAddress) -> None:
        """Open the ledger, and create or update its tables. Raises HostError."""
        self.address = address
        self._engine = _engine(address)
        try:
            with self.writing() as connection:
                _update(connection, address)
                self.id = _identity(connection)
        except BaseException:
            self.close()
            raise

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A connection in a transaction, committed at the end of the block. Raises HostError."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise HostError(
                f"cannot use the ledger {self.address.text}: {_reason(error)}",
                "check that its server runs and lets this user in, or that its file can be written",
            ) from error

    def now(self, connection: Connection) -> float:
        """Seconds since 1970 by the database's clock, which all programs share."""
        return float(connection.execute(text(f"SELECT {_CLOCKS[connection.dialect.name]}")).scalar_one())

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def _engine(address: LedgerAddress) -> Engine:
    if address.path is None:
        try:
            engine = create_engine(address.url, pool_pre_ping=True, pool_size=2, connect_args=_CONNECTION)
        except ImportError as error:
            hint = "install imagebuild with its extra postgresql: pip install 'imagebuild[farm,postgresql]'"
            raise HostError(f"a ledger in PostgreSQL needs the Python package psycopg: {error}", hint) from error
        event.listen(engine, "connect", _limit_waiting)
        return engine
    # Without a pool no connection, and none of the file's locks, passes to another thread.
    engine = create_engine(address.url, poolclass=NullPool, connect_args={"timeout": _BUSY})
    event.listen(engine, "connect", _without_implicit_transactions)
    event.listen(engine, "begin", _begin_immediate)
    return engine


def _limit_waiting(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        for line in _SESSION:
            cursor.execute(line)
    connection.commit()


def _without_implicit_transactions(connection: Any, _record: Any) -> None:
    connection.isolation_level = None


def _begin_immediate(connection: Connection) -> None:
    """SQLite's default would read first and fail at the first write if another program has written."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _update(connection: Connection, address: LedgerAddress) -> None:
    """Apply the missing migrations, one program at a time."""
    scripts = ScriptDirectory(str(_MIGRATIONS))
    newest = scripts.get_current_head()
    found = MigrationContext.configure(connection).get_current_revision()
    if found == newest:
        return
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _MIGRATION_LOCK})
        found = MigrationContext.configure(connection).get_current_revision()
    if found is not None and found not in {one.revision for one in scripts.walk_revisions()}:
        raise HostError(
            f"the ledger {address.text} was written by a newer imagebuild", "update imagebuild, or use another ledger"
        )
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _identity(connection: Connection) -> str:
    """The ledger's name, which the first program gives it."""
    found = connection.execute(select(LEDGER.c.id)).scalar()
    if found is None:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _MIGRATION_LOCK})
            found = connection.execute(select(LEDGER.c.id)).scalar()
        if found is None:
            found = uuid4().hex
            connection.execute(insert(LEDGER).values(id=found))
    return str(found)


def _reason(error: SQLAlchemyError) -> str:
    cause = error.orig if isinstance(error, DBAPIError) else error
    return redact(" ".join(str(cause).split()) or type(cause).__name__)
