"""The ledger in SQLite and in a real PostgreSQL: claims, fences, tries, and several processes."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from postgresql_server import PostgresqlServer
from sqlalchemy import text

from imagebuild.errors import HostError, UsageError
from imagebuild.ledger import address
from imagebuild.ledger.address import LedgerAddress
from imagebuild.ledger.claims import OrderedImage
from imagebuild.ledger.ledger import Ledger

pytestmark = pytest.mark.seconds
WEB, MAIL = OrderedImage("web", "1" * 64), OrderedImage("mail", "2" * 64)
Open = Callable[[], Ledger]


@pytest.fixture
def opened(place: LedgerAddress) -> Iterator[Open]:
    ledgers: list[Ledger] = []

    def make() -> Ledger:
        ledgers.append(Ledger(place))
        return ledgers[-1]

    yield make
    for one in ledgers:
        one.close()


def ordered(ledger: Ledger, *images: OrderedImage, max_tries: int = 3) -> list[int]:
    _, builds = ledger.order(images, asked_by="me", host="desk", max_tries=max_tries)
    return [builds[one] for one in images]


def outcomes(ledger: Ledger, build: int) -> list[str | None]:
    return [one.outcome for one in ledger.builds([build])[build].tries]


def test_a_build_is_claimed_by_one_worker_and_done_once(opened: Open) -> None:
    ledger, other = opened(), opened()
    assert ledger.id == other.id
    (build,) = ordered(ledger, WEB)
    claim = ledger.claim(build, "w1")
    assert claim is not None
    assert other.claim(build, "w2") is None
    assert ledger.builds([build])[build].is_held
    assert ledger.renew(claim)
    assert ledger.finish(claim, version="2026-01-31.1", artifact="a1")
    assert ledger.finish(claim, version="2026-01-31.1", artifact="a1"), "the first answer may not have arrived"
    found = other.builds([build])[build]
    assert (found.state, found.version, found.artifact, found.worker) == ("done", "2026-01-31.1", "a1", "w1")
    assert outcomes(ledger, build) == ["built"]
    assert ordered(other, WEB) == [build]
    assert other.claim(build, "w2") is None
    assert [order.asked_by for order in ledger.orders()] == ["me", "me"]
    assert [[one.image for one in order.builds] for order in ledger.orders(1)] == [["web"]]


def test_a_late_finisher_cannot_publish(opened: Open) -> None:
    ledger = opened()
    (build,) = ordered(ledger, WEB)
    late = ledger.claim(build, "w1", lease=-1)
    now = ledger.claim(build, "w2")
    assert late is not None
    assert now is not None
    assert now.fence > late.fence
    assert not ledger.renew(late)
    assert not ledger.finish(late, version="2026-01-31.1", artifact="late")
    ledger.fail(late, "no luck")
    ledger.hand_back(late, "too late")
    assert ledger.builds([build])[build].is_held
    assert ledger.finish(now, version="2026-01-31.2", artifact="good")
    assert not ledger.finish(late, version="2026-01-31.1", artifact="late")
    found = ledger.builds([build])[build]
    assert (found.version, found.artifact) == ("2026-01-31.2", "good")
    assert outcomes(ledger, build) == ["lost", "built"]
    assert "too late" in found.tries[0].message


def test_a_build_whose_workers_die_is_tried_n_times(opened: Open) -> None:
    ledger = opened()
    (build,) = ordered(ledger, WEB, max_tries=2)
    assert ledger.claim(build, "w1")
    ledger.lose(build, "another", "not its own")
    ledger.lose(build, "w1", "it was killed")
    assert ledger.claim(build, "w2", lease=-1)
    assert ledger.claim(build, "w3") is None
    found = ledger.builds([build])[build]
    assert (found.state, found.tries[0].message) == ("failed", "it was killed")
    assert outcomes(ledger, build) == ["lost", "lost"]
    ordered(ledger, WEB, max_tries=2)
    again = ledger.claim(build, "w4")
    assert again is not None
    assert again.fence == 3


def test_what_is_handed_back_uses_up_no_try(opened: Open) -> None:
    ledger = opened()
    (build,) = ordered(ledger, WEB, max_tries=1)
    for _ in range(3):
        claim = ledger.claim(build, "w1")
        assert claim is not None
        ledger.hand_back(claim, "the worker was stopped")
    claim = ledger.claim(build, "w1")
    assert claim is not None
    ledger.fail(claim, "no luck", "the last lines")
    assert ledger.claim(build, "w1") is None
    assert ledger.builds([build])[build].tries[-1].evidence == "the last lines"


def test_a_lost_artifact_is_built_again(opened: Open) -> None:
    ledger = opened()
    (build,) = ordered(ledger, WEB)
    claim = ledger.claim(build, "w1")
    assert claim is not None
    ledger.finish(claim, version="2026-01-31.1", artifact="a1")
    ledger.forget(build, "another")
    assert ledger.builds([build])[build].state == "done"
    ledger.forget(build, "a1")
    assert ledger.claim(build, "w1")


def test_many_claim_at_once_and_one_wins(opened: Open) -> None:
    ledgers = [opened() for _ in range(8)]
    builds = ordered(ledgers[0], WEB, MAIL)
    won: list[int] = []

    def race(at: int) -> None:
        won.extend(build for build in builds if ledgers[at].claim(build, f"w{at}") is not None)

    threads = [threading.Thread(target=race, args=(at,)) for at in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(won) == sorted(builds)


OPENING = """
import sys
from imagebuild.ledger import address
from imagebuild.ledger.ledger import Ledger
print(Ledger(address.parsed(sys.argv[1], from_environment=True)).id)
"""


def test_processes_create_one_ledger_at_the_same_time(place: LedgerAddress) -> None:
    words = [sys.executable, "-c", OPENING, place.text]
    started = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    found = {process.communicate()[0] for process in started}
    assert len(found) == 1
    assert [process.returncode for process in started] == [0] * 4


def test_a_ledger_of_a_newer_version_is_refused(place: LedgerAddress, opened: Open) -> None:
    ledger = opened()
    with ledger._database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(HostError, match="newer imagebuild"):
        Ledger(place)


def test_the_tables_are_those_that_the_migrations_make(opened: Open) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    from imagebuild.ledger.tables import BUILDS

    with opened()._database.writing() as connection:
        found = compare_metadata(MigrationContext.configure(connection), BUILDS.metadata)
    # `tables` names what queries use, without the constraints.
    assert not [one for one in found if one[0] in ("add_table", "remove_table", "add_column", "remove_column")]


def test_passwords_come_from_the_environment_only(server: PostgresqlServer) -> None:
    with pytest.raises(UsageError, match="has a password"):
        address.parsed(server.url(password=server.password))
    found = address.parsed(server.url(password=server.password), from_environment=True)
    assert server.password not in found.text
    assert server.password not in repr(found)
    ledger = Ledger(found)
    ledger.close()
    with pytest.raises(HostError, match="cannot use the ledger") as caught:
        Ledger(address.parsed(server.url(password="wrong-word"), from_environment=True))
    assert "wrong-word" not in str(caught.value)


@pytest.mark.parametrize("name", ["mysql://host/db", "http://host"])
def test_other_databases_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be at"):
        address.parsed(name)


def test_what_is_no_database_is_not_touched(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite"
    file.write_text("no database at all, but somebody's text" * 100)
    before = file.read_bytes()
    with pytest.raises(HostError, match="cannot use the ledger"):
        Ledger(address.parsed(str(file)))
    assert file.read_bytes() == before
