"""The history: the builds in a store, how they ended, and how long each of their steps took.

    STORE/history.sqlite        one row per build, one per step of it
    STORE/history.sqlite.…      a damaged history that was moved out of the way

It is not part of any result: if it cannot be written, the log says so, and the build continues.

The journal is SQLite's default, a file that exists only during a write. A write-ahead log would
need memory that all processes share, which a network file system cannot provide, and a writable
store even for reading. That pays off for a database with many writers, but a build writes only
twice.
"""

from __future__ import annotations

import sqlite3
import statistics
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from imagebuild.errors import HostError
from imagebuild.log import logger
from imagebuild.store.store import Store

Outcome = Literal["built", "unchanged", "failed", "interrupted"]
State = Literal["run", "cached", "open"]

_BUSY = 10.0
"""Seconds to wait for another process that is writing; a write takes milliseconds."""
_RUNS = 5
"""How many of a step's last runs are used to estimate the next one."""
_MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """\
CREATE TABLE builds (
    run TEXT PRIMARY KEY, recipe TEXT NOT NULL, began TEXT NOT NULL, ended TEXT, outcome TEXT, version TEXT,
    fingerprint TEXT, error TEXT, size INTEGER, virtual_size INTEGER, accelerator TEXT)""",
        """\
CREATE TABLE steps (
    run TEXT NOT NULL REFERENCES builds, position INTEGER NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL,
    fingerprint TEXT NOT NULL, state TEXT NOT NULL, seconds REAL, PRIMARY KEY (run, position))""",
        "CREATE INDEX builds_by_time ON builds (began)",
        "CREATE INDEX steps_by_name ON steps (name)",
    ),
)
"""The statements for each schema version; ``PRAGMA user_version`` counts the applied ones."""
_LAST = """\
SELECT seconds FROM steps JOIN builds USING (run)
WHERE name = :step AND seconds IS NOT NULL AND (recipe = :recipe) = :own
AND (:accelerator IS NULL OR accelerator = :accelerator)
ORDER BY began DESC LIMIT :runs"""


class Damaged(HostError):
    """The history was damaged, and has been moved out of the way."""


@dataclass(frozen=True)
class StepRecord:
    """One step of a build: it ran for ``seconds``, or its result was cached, or the build ended
    before it did.
    """

    name: str
    kind: str
    fingerprint: str
    state: State
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Build:
    """One build. Times are in UTC, ISO 8601; sizes in bytes, of all disks together.

    Without ``outcome`` it is still running, or its process died.
    """

    run: str
    recipe: str
    began: str
    ended: str | None = None
    outcome: Outcome | None = None
    version: str | None = None
    fingerprint: str | None = None
    """The artifact's fingerprint: that of the plan's last step."""
    error: str | None = None
    """The first line of the error."""
    size: int | None = None
    virtual_size: int | None = None
    accelerator: str | None = None
    steps: tuple[StepRecord, ...] = ()

    @property
    def seconds(self) -> float | None:
        """The duration of the build."""
        if self.ended is None:
            return None
        return (datetime.fromisoformat(self.ended) - datetime.fromisoformat(self.began)).total_seconds()


_COLUMNS = tuple(one.name for one in fields(Build) if one.name != "steps")
_STEP_COLUMNS = tuple(one.name for one in fields(StepRecord))


class History:
    """The history of one store. Safe for several builds in several processes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.path = store.root / "history.sqlite"

    def put(self, build: Build) -> None:
        """Record a build, or update its record. Never raises: a failure is logged as a warning."""
        for _ in range(2):  # the second time writes to a new history, if the first one found damage
            try:
                return self._put(build)
            except Damaged as error:
                logger.warning("%s", error)
            except (HostError, sqlite3.Error, OSError) as error:
                return logger.warning("cannot record %s in the history %s: %s", build.run, self.path, error)
        return None

    def _put(self, build: Build) -> None:
        with closing(self._open()) as database, database:
            database.execute("BEGIN IMMEDIATE")
            database.execute(_insert("builds", _COLUMNS), [getattr(build, name) for name in _COLUMNS])
            database.execute("DELETE FROM steps WHERE run = ?", (build.run,))
            for at, step in enumerate(build.steps):
                values = [getattr(step, name) for name in _STEP_COLUMNS]
                database.execute(_insert("steps", ("run", "position", *_STEP_COLUMNS)), [build.run, at, *values])

    def builds(self, recipes: Collection[str] = (), limit: int | None = None) -> list[Build]:
        """The builds of these recipes, or of all, newest first. Raises HostError if they cannot be
        read.
        """
        if not self.path.exists():
            return []
        chosen = f"WHERE recipe IN ({_marks(recipes)}) " if recipes else ""
        query = f"SELECT {', '.join(_COLUMNS)} FROM builds {chosen}ORDER BY began DESC, rowid DESC LIMIT ?"  # noqa: S608
        with self._reading() as database:
            rows = database.execute(query, (*recipes, -1 if limit is None else limit)).fetchall()
            return [_build(database, row) for row in rows]

    def expected(self, recipe: str, steps: Iterable[str], accelerator: str | None = None) -> dict[str, float]:
        """The expected seconds of each of these steps: the median of its last runs. Never raises.

        Runs for ``recipe`` are used, or for other recipes if it has none, with ``accelerator`` if
        that is known. A step without such a run is left out.
        """
        found: dict[str, float] = {}
        try:
            if self.path.exists():
                about: dict[str, object] = {"recipe": recipe, "accelerator": accelerator, "runs": _RUNS}
                with self._reading() as database:
                    for step in steps:
                        last = _last(database, step, about, own=True) or _last(database, step, about, own=False)
                        if last:
                            found[step] = statistics.median(last)
        except (HostError, OSError) as error:
            logger.warning("cannot estimate how long steps take: %s", error)
        return found

    def state(self, build: Build) -> str:
        """The outcome of one of ``builds``; for a build without one, whether it is ``running`` or
        ``died``.
        """
        if build.outcome is not None:
            return build.outcome
        if self._store.runs.is_living(build.run):
            return "running"
        with self._reading() as database:  # it may have ended after it was read
            ended = database.execute("SELECT outcome FROM builds WHERE run = ?", (build.run,)).fetchone()
        return ended[0] if ended and ended[0] else "died"

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(self._open()) as database:
                yield database
        except (sqlite3.Error, OSError) as error:
            raise HostError(f"cannot read the history {self.path}: {error}") from error

    def _open(self) -> sqlite3.Connection:
        """Open the database and update its schema. Raises Damaged, HostError, sqlite3.Error and
        OSError.
        """
        there = _identity(self.path)
        database = sqlite3.connect(self.path.as_uri(), uri=True, timeout=_BUSY, isolation_level=None)
        try:
            damage = _damage(database)
            if damage is None:
                _migrate(database)
                return database
        except BaseException:
            database.close()
            raise
        database.close()
        raise Damaged(f"the history was damaged ({damage}){self._set_aside(there)}", "the next build starts a new one")

    def _set_aside(self, damaged: tuple[int, int] | None) -> str:
        """Move a damaged history out of the way, with its journal, which must not be applied to a
        new one.
        """
        with self._store.locked("history", lambda _: None):
            if _identity(self.path) != damaged:
                return ""  # another process was faster
            aside = f"{self.path}.{datetime.now(UTC):%Y%m%d%H%M%S}.damaged"
            journal = Path(f"{self.path}-journal")
            if journal.exists():
                journal.rename(f"{aside}-journal")
            self.path.rename(aside)
            return f", and was renamed to {aside}"


def _identity(path: Path) -> tuple[int, int] | None:
    """The identity of the file at ``path``."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _damage(database: sqlite3.Connection) -> str | None:
    try:
        (result,) = database.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return str(error)
        raise
    return None if result == "ok" else str(result).splitlines()[-1]


def _migrate(database: sqlite3.Connection) -> None:
    if _version(database) == len(_MIGRATIONS):
        return
    with database:
        database.execute("BEGIN IMMEDIATE")
        version = _version(database)  # another process may have been faster
        if version > len(_MIGRATIONS):
            raise HostError(
                "the history was written by a newer imagebuild",
                "update imagebuild, or choose another store with --store",
            )
        for statement in (one for migration in _MIGRATIONS[version:] for one in migration):
            database.execute(statement)
        database.execute(f"PRAGMA user_version = {len(_MIGRATIONS)}")


def _version(database: sqlite3.Connection) -> int:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    return int(version)


def _insert(table: str, columns: Sequence[str]) -> str:
    return f"INSERT OR REPLACE INTO {table} ({', '.join(columns)}) VALUES ({_marks(columns)})"  # noqa: S608


def _marks(values: Collection[object]) -> str:
    return ", ".join("?" * len(values))


def _build(database: sqlite3.Connection, row: Sequence[object]) -> Build:
    build = Build(**dict(zip(_COLUMNS, row, strict=True)))  # type: ignore[arg-type]
    query = f"SELECT {', '.join(_STEP_COLUMNS)} FROM steps WHERE run = ? ORDER BY position"  # noqa: S608
    return replace(build, steps=tuple(StepRecord(*one) for one in database.execute(query, (build.run,))))


def _last(database: sqlite3.Connection, step: str, about: Mapping[str, object], *, own: bool) -> list[float]:
    """The seconds of a step's last runs, for the recipe itself or for other recipes."""
    return [seconds for (seconds,) in database.execute(_LAST, {**about, "step": step, "own": own})]
