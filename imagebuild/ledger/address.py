"""Where a ledger is: a file of SQLite, or a PostgreSQL database.

A password never comes from a command line or from a file of the project: PostgreSQL's own client
library takes it from ``PGPASSWORD`` or from a password file (``PGPASSFILE``, ``~/.pgpass``).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from imagebuild import log
from imagebuild.errors import UsageError

VARIABLE = "IMAGEBUILD_LEDGER"
_FILE = "ledger.sqlite"
_POSTGRESQL = ("postgresql", "postgres")


@dataclass(frozen=True)
class LedgerAddress:
    """A checked address. ``text`` has no password."""

    text: str
    path: Path | None = None
    """The file of SQLite; None for PostgreSQL."""
    _url: str = field(default="", repr=False)

    @property
    def url(self) -> str:
        """The address for SQLAlchemy; it may have a password, and is not to be printed."""
        return f"sqlite+pysqlite:///{self.path}" if self.path is not None else self._url


def default(store: Path) -> LedgerAddress:
    """``IMAGEBUILD_LEDGER``, else a file in the store. Raises UsageError."""
    chosen = os.environ.get(VARIABLE)
    return parsed(chosen, from_environment=True) if chosen else LedgerAddress(str(store / _FILE), store / _FILE)


def parsed(text: str, *, from_environment: bool = False) -> LedgerAddress:
    """The address in a path, or in ``postgresql://[user@]host[:port]/database``.

    Only the environment may have a password in it, which nobody else can read there. Raises
    UsageError.
    """
    scheme, separator, rest = text.partition("://")
    if not separator:
        path = Path(text).absolute()
        return LedgerAddress(str(path), path)
    if scheme not in _POSTGRESQL:
        raise UsageError(
            f"a ledger cannot be at {scheme}://",
            "give the path of a file, or postgresql://[user@]host[:port]/database",
        )
    try:
        parts = urlsplit(text)
        password = parts.password or dict(parse_qsl(parts.query)).get("password")
    except ValueError as error:
        raise UsageError(f"the ledger's address is no URL: {error}", "postgresql://[user@]host/database") from error
    if password is None:
        return LedgerAddress(f"postgresql://{rest}", None, f"postgresql+psycopg://{rest}")
    log.hide(password)
    if not from_environment:
        raise UsageError(
            "the ledger's address has a password, which other users of this host could read",
            "put it into the environment (PGPASSWORD) or a password file (~/.pgpass)",
        )
    public = f"postgresql://{parts.netloc.rpartition('@')[2]}{parts.path}"
    return LedgerAddress(public, None, f"postgresql+psycopg://{rest}")
