"""Artifacts are fetched in threads, a few at a time, while builds are handed out."""

from __future__ import annotations

import threading

import pytest
from farm_site import until

from imagebuild.errors import HostError
from imagebuild.farm.fetches import ArtifactFetches
from imagebuild.ledger.claims import LedgerBuild
from imagebuild.store.artifact import Artifact


def build(number: int) -> LedgerBuild:
    return LedgerBuild(number, f"i{number}", "0" * 64, "done", "w1", False, "2026-01-31.1", "a" * 64)


def test_a_few_at_a_time_and_each_result_once() -> None:
    begun: list[int] = []
    go = threading.Event()

    def fetch(row: LedgerBuild) -> Artifact | None:
        begun.append(row.id)
        assert go.wait(60)
        return None

    fetches = ArtifactFetches(fetch)
    rows = [build(number) for number in range(6)]
    assert [fetches.result(row) for row in rows] == [None] * 6, "nobody waits for them"
    until(lambda: len(begun) == 4)
    assert [fetches.result(row) for row in rows] == [None] * 6
    assert fetches._running == {0, 1, 2, 3}, "the others begin later"
    go.set()
    found = {}
    until(lambda: [found.setdefault(row.id, one) for row in rows if (one := fetches.result(row))] and len(found) == 6)
    assert all(one.artifact is None and one.error is None for one in found.values())


@pytest.mark.parametrize("error", [HostError("away"), OSError("full"), ValueError("a flaw")])
def test_errors_come_to_whoever_asks(error: Exception) -> None:
    def fetch(row: LedgerBuild) -> Artifact | None:
        raise error

    fetches = ArtifactFetches(fetch)
    result = until(lambda: fetches.result(build(1)))
    assert result.error is error
    assert not fetches.busy
