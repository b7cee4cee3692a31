"""The ledger: exactly one artifact comes of each build, whatever dies.

A worker claims a build before it starts, and renews the claim while it works. A claim has a fencing
number. Whoever claims the build later gets a larger one, and from then on the earlier claim can
neither be renewed nor finished: a worker that was cut off may come back, but its artifact is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, and_, case, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from imagebuild.ledger.address import LedgerAddress
from imagebuild.ledger.claims import (
    LEASE,
    MAX_TRIES,
    BuildTry,
    Claim,
    LedgerBuild,
    LedgerOrder,
    OrderedImage,
    TryOutcome,
)
from imagebuild.ledger.connection import LedgerDatabase
from imagebuild.ledger.tables import BUILDS, ORDERED, ORDERS, TRIES

_LONGEST = 100_000
"""Characters of a message or of evidence that are stored: both come from workers."""


class Ledger:
    """A ledger. Safe for several programs, on several hosts if it is PostgreSQL."""

    def __init__(self, address: LedgerAddress) -> None:
        """Raises HostError if it cannot be opened."""
        self._database = LedgerDatabase(address)
        self.address = address
        self.id = self._database.id

    def close(self) -> None:
        """Close all connections."""
        self._database.close()

    def order(
        self, images: Sequence[OrderedImage], *, asked_by: str, host: str, max_tries: int = MAX_TRIES
    ) -> tuple[int, dict[OrderedImage, int]]:
        """Record that somebody asks for images. Returns the order's number, and the build of each.

        A build that had failed may be tried again ``max_tries`` times; one that runs or is done
        stays as it is.
        """
        with self._database.writing() as connection:
            row = {"at": self._database.now(connection), "asked_by": asked_by, "host": host}
            order = connection.execute(insert(ORDERS).values(**row).returning(ORDERS.c.id)).scalar_one()
            builds = {one: _asked(connection, one, max_tries) for one in sorted(set(images), key=_order)}
            if builds:
                rows = [{"order_id": order, "build_id": build} for build in builds.values()]
                connection.execute(insert(ORDERED), rows)
            return order, builds

    def claim(self, build: int, worker: str, *, lease: float = LEASE) -> Claim | None:
        """Take the right to build; None if the build is done, has failed, or somebody else has it.

        A claim whose lease has run out is lost, which uses up a try; after the last one the build
        has failed.
        """
        with self._database.writing() as connection:
            now = self._database.now(connection)
            row = _locked(connection, build)
            if row.state == "running" and row.lease_until <= now:
                message = f"{row.worker} did not renew its claim"
                _end(connection, now, build, row.fence, "lost", message)
                row = _locked(connection, build)
            if row.state != "waiting":
                return None
            fence = row.fence + 1
            changes = {"tries": row.tries + 1, "fence": fence, "worker": worker, "lease_until": now + lease}
            connection.execute(update(BUILDS).where(BUILDS.c.id == build).values(state="running", **changes))
            entry = {"build_id": build, "fence": fence, "worker": worker, "began": now, "message": "", "evidence": ""}
            connection.execute(insert(TRIES).values(**entry))
            return Claim(build, fence, row.image, worker)

    def renew(self, claim: Claim, *, lease: float = LEASE) -> bool:
        """Extend a claim. Returns whether it is still valid: if not, the build must be stopped."""
        with self._database.writing() as connection:
            until = self._database.now(connection) + lease
            done = connection.execute(update(BUILDS).where(_current(claim)).values(lease_until=until))
            return done.rowcount == 1

    def finish(self, claim: Claim, *, version: str, artifact: str) -> bool:
        """Record the artifact of a claim. Returns False if the claim is no longer valid: then the
        artifact is not the build's, and must be removed. Who did not hear the answer may ask again.
        """
        with self._database.writing() as connection:
            now = self._database.now(connection)
            row = _locked(connection, claim.build)
            if (row.state, row.fence, row.artifact) == ("done", claim.fence, artifact):
                return True
            changes = {"state": "done", "version": version, "artifact": artifact, "lease_until": None}
            won = connection.execute(update(BUILDS).where(_current(claim)).values(**changes)).rowcount == 1
            _record(connection, now, claim.build, claim.fence, "built" if won else "too late", version)
            return won

    def fail(self, claim: Claim, message: str, evidence: str = "") -> None:
        """Record that a build has failed for a reason that another worker would meet, too."""
        self._ended(claim, "failed", message, evidence)

    def unable(self, claim: Claim, message: str, evidence: str = "") -> None:
        """Record that the worker's host cannot do it, such as for lack of space; another one may. This
        uses up a try.
        """
        self._ended(claim, "unable", message, evidence)

    def hand_back(self, claim: Claim, message: str) -> None:
        """Give up a claim without a result; this uses up no try."""
        self._ended(claim, "handed back", message)

    def lose(self, build: int, worker: str, message: str) -> None:
        """Record that a worker died, if it still holds the claim: nobody has to wait for the lease."""
        with self._database.writing() as connection:
            row = _locked(connection, build)
            if row.state == "running" and row.worker == worker:
                _end(connection, self._database.now(connection), build, row.fence, "lost", message)

    def forget(self, build: int, artifact: str) -> None:
        """Build again what is done, because its artifact is no longer in the shared store."""
        with self._database.writing() as connection:
            where = and_(BUILDS.c.id == build, BUILDS.c.state == "done", BUILDS.c.artifact == artifact)
            connection.execute(update(BUILDS).where(where).values(state="waiting", tries=0, artifact=None))

    def builds(self, numbers: Collection[int]) -> dict[int, LedgerBuild]:
        """The builds with these numbers, with their tries."""
        with self._database.writing() as connection:
            return self._builds(connection, numbers)

    def orders(self, limit: int = 20) -> list[LedgerOrder]:
        """The last orders, newest first."""
        with self._database.writing() as connection:
            rows = connection.execute(select(ORDERS).order_by(ORDERS.c.id.desc()).limit(limit)).all()
            pairs = select(ORDERED).where(ORDERED.c.order_id.in_([row.id for row in rows]))
            members: dict[int, list[int]] = {}
            for pair in connection.execute(pairs.order_by(ORDERED.c.build_id)):
                members.setdefault(pair.order_id, []).append(pair.build_id)
            found = self._builds(connection, {one for each in members.values() for one in each})
            return [
                LedgerOrder(
                    row.id, row.at, row.asked_by, row.host, tuple(found[one] for one in members.get(row.id, ()))
                )
                for row in rows
            ]

    def _builds(self, connection: Connection, numbers: Collection[int]) -> dict[int, LedgerBuild]:
        now = self._database.now(connection)
        tries: dict[int, list[BuildTry]] = {}
        for row in connection.execute(select(TRIES).where(TRIES.c.build_id.in_(numbers)).order_by(TRIES.c.fence)):
            build, *rest = row
            tries.setdefault(build, []).append(BuildTry(*rest))
        rows = connection.execute(select(BUILDS).where(BUILDS.c.id.in_(numbers)).order_by(BUILDS.c.id))
        return {row.id: _build(row, now, tuple(tries.get(row.id, ()))) for row in rows}

    def _ended(self, claim: Claim, outcome: TryOutcome, message: str, evidence: str = "") -> None:
        with self._database.writing() as connection:
            _end(connection, self._database.now(connection), claim.build, claim.fence, outcome, message, evidence)


def _order(image: OrderedImage) -> tuple[str, str]:
    """All programs change builds in one order, so that PostgreSQL finds no deadlock."""
    return image.image, image.fingerprint


def _asked(connection: Connection, wanted: OrderedImage, max_tries: int) -> int:
    """The build of an image; it is created, or may be tried again if it had failed."""
    values = {"image": wanted.image, "fingerprint": wanted.fingerprint, "max_tries": max_tries}
    # Both databases have ON CONFLICT, but SQLAlchemy has it in their own dialects only.
    upsert: Any = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    new = upsert(BUILDS).values(state="waiting", tries=0, fence=0, **values)
    again = {
        "state": case((BUILDS.c.state == "failed", "waiting"), else_=BUILDS.c.state),
        "tries": case((BUILDS.c.state == "failed", 0), else_=BUILDS.c.tries),
        "max_tries": max_tries,
    }
    asked = new.on_conflict_do_update(index_elements=["image", "fingerprint"], set_=again).returning(BUILDS.c.id)
    return int(connection.execute(asked).scalar_one())


def _locked(connection: Connection, build: int) -> Any:
    """A build's row; on PostgreSQL nobody changes it before the transaction ends. (On SQLite nobody
    changes anything.)
    """
    return connection.execute(select(BUILDS).where(BUILDS.c.id == build).with_for_update()).one()


def _current(claim: Claim) -> Any:
    return and_(BUILDS.c.id == claim.build, BUILDS.c.fence == claim.fence, BUILDS.c.state == "running")


def _end(
    connection: Connection, now: float, build: int, fence: int, outcome: TryOutcome, message: str, evidence: str = ""
) -> None:
    """Record how a try ended, and what comes of the build, unless the claim is no longer valid."""
    _record(connection, now, build, fence, outcome, message, evidence)
    used_up = BUILDS.c.tries >= BUILDS.c.max_tries
    changes: dict[str, Any] = {"lease_until": None}
    if outcome == "handed back":
        changes |= {"state": "waiting", "tries": BUILDS.c.tries - 1}
    else:
        changes["state"] = "failed" if outcome == "failed" else case((used_up, "failed"), else_="waiting")
    where = and_(BUILDS.c.id == build, BUILDS.c.fence == fence, BUILDS.c.state == "running")
    connection.execute(update(BUILDS).where(where).values(**changes))


def _record(
    connection: Connection, now: float, build: int, fence: int, outcome: TryOutcome, message: str, evidence: str = ""
) -> None:
    """How a try ended. Of a lost worker that comes back, the first outcome stays, and its own is appended."""
    where = and_(TRIES.c.build_id == build, TRIES.c.fence == fence)
    row = connection.execute(select(TRIES).where(where)).one()
    if row.outcome is None:
        values = {"ended": now, "outcome": outcome, "message": message[:_LONGEST], "evidence": evidence[:_LONGEST]}
    else:
        values = {"message": f"{row.message}; later: {outcome}, {message}"[:_LONGEST]}
    connection.execute(update(TRIES).where(where).values(**values))


def _build(row: Any, now: float, tries: tuple[BuildTry, ...]) -> LedgerBuild:
    held = row.state == "running" and row.lease_until > now
    return LedgerBuild(
        row.id, row.image, row.fingerprint, row.state, row.worker, held, row.version, row.artifact, tries
    )
