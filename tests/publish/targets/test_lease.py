"""Locks where nothing locks: who has one, and when it may be taken over."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from imagebuild.errors import HostError
from imagebuild.publish.targets import lease
from imagebuild.publish.targets.lease import Lost, Owner, decoded_owner, is_stale, renewed, this_process


@pytest.fixture
def mine() -> Iterator[Owner]:
    owner = this_process()
    yield owner
    lease.given_up(owner)


def test_a_lock_of_this_process_is_valid_until_it_gives_up(mine: Owner) -> None:
    assert decoded_owner(mine.encoded()) == mine
    assert not is_stale(mine.encoded(), 0)
    lease.given_up(mine)
    assert is_stale(mine.encoded(), 0)


def test_a_lock_that_nobody_renews_is_stale(mine: Owner) -> None:
    assert not is_stale(mine.encoded(), lease.LEASE)
    assert is_stale(mine.encoded(), lease.LEASE + 1)


def test_a_lock_of_a_process_that_ended_is_stale(mine: Owner) -> None:
    process = subprocess.Popen(["sleep", "60"])
    owner = replace(mine, process=f"{process.pid}@{lease._start(str(process.pid))}")
    assert not owner.has_ended
    process.kill()
    process.wait()
    assert owner.has_ended


def test_a_pid_that_was_used_again_is_not_the_same_process(mine: Owner) -> None:
    assert replace(mine, process=f"{os.getpid()}@1").has_ended


def test_nothing_is_known_about_processes_of_other_machines_and_containers(mine: Owner) -> None:
    for machine in ("", "another boot", mine.machine + "1"):
        assert not replace(mine, machine=machine, process="1@1").has_ended


@pytest.mark.parametrize("process", ["", "@", "x@1", "-1@1", "1/../1@1", "99999999999999999999@1"])
def test_what_is_no_process_is_not_looked_for(mine: Owner, process: str) -> None:
    assert replace(mine, process=process).has_ended in (True, False)


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b"[" * 5000, b"\xff", b'{"host": 1, "machine": "", "process": "", "token": ""}'],
    ids=len,
)
def test_a_lock_that_nobody_wrote_has_no_owner_and_ends(content: bytes) -> None:
    assert decoded_owner(content) is None
    assert not is_stale(content, 1)
    assert is_stale(content, lease.LEASE + 1)
    assert "somebody else" in lease.taken("x", content, 1).message


def test_a_lock_that_cannot_be_renewed_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "LEASE", 0.1)
    lost = Lost("x")

    def renew() -> bool:
        raise HostError("the server does not answer")

    with renewed(renew, lost, 0.01):
        end = time.monotonic() + 30
        while not lost._why and time.monotonic() < end:
            time.sleep(0.01)
    with pytest.raises(HostError, match="does not answer"):
        lost.check()


def test_a_lock_that_is_renewed_is_kept() -> None:
    calls: list[int] = []

    def renew() -> bool:
        calls.append(1)
        return True

    lost = Lost("x")
    with renewed(renew, lost, 0.01):
        end = time.monotonic() + 30
        while len(calls) < 3 and time.monotonic() < end:
            time.sleep(0.01)
    assert len(calls) >= 3
    lost.check()
