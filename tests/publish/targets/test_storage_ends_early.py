"""Publishers that are killed, servers that die or fall silent, and the locks that remain."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import InBucket, InFolder, Place
from storage_driver import MIB, TEMPLATE, after, image, publish, release_of
from storage_peers import Peer, Rclone, Sshd

from imagebuild.errors import HostError
from imagebuild.publish.release import Release
from imagebuild.publish.targets import lease, sftp
from imagebuild.publish.targets.records import LOCK
from imagebuild.storage import s3_client

pytestmark = pytest.mark.seconds
RECORD = f"{TEMPLATE}.json"
Releases = tuple[Release, Release]
KILLS = 5


def argument(release: Release) -> str:
    return f"{release.version}={release.files[0].path}"


def check_what_is_there(place: Place) -> str:
    """Every file that has its final name is complete; returns the current version."""
    for name in place.names():
        if name.endswith(".qcow2"):
            assert hashlib.sha256(place.read(name)).hexdigest().startswith(name.removesuffix(".qcow2")[-16:])
    if RECORD not in place.names():
        return ""
    state = place.target().state(TEMPLATE)
    assert state is not None
    for version in state.versions:
        for file in version.files:
            assert hashlib.sha256(place.read(file.name)).hexdigest() == file.sha256
    return state.current


def test_killed_at_any_instant(place: Place, releases: Releases) -> None:
    one, two = releases
    publish(place.target(), one)
    instants = random.Random()
    with place.start(argument(one)) as whole:  # nothing to send: the start and the connection
        assert whole.stdout is not None
        assert whole.stdout.readline() == "ready\n"
        ready = time.monotonic()
        assert whole.wait(120) == 0
    longest = 3 * (time.monotonic() - ready) + 0.5
    for number in range(KILLS):
        new = release_of(f"2026-11-30.{number}", image(place.folder / "new", 12 * MIB + number, 100 + number))
        before = check_what_is_there(place)
        with place.start(argument(new)) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(instants.uniform(0, longest))
            os.killpg(process.pid, signal.SIGKILL)
        now = check_what_is_there(place)
        assert now in (before, new.version)
        publish(place.target(), new)
        assert check_what_is_there(place) == new.version
    publish(place.target(), two)
    assert check_what_is_there(place) == two.version
    left = {name for name in place.names() if name.startswith(".") and name != LOCK}
    assert left <= {f".{RECORD}.new"} | {name for name in left if name.startswith(f"{LOCK}.")}


def test_the_lock_of_a_killed_publisher_is_taken_over(place: Place, releases: Releases) -> None:
    one, _ = releases
    process = place.start(argument(one))
    assert process.stdout is not None
    process.stdout.readline()
    end = time.monotonic() + 60
    while LOCK not in place.names() and time.monotonic() < end:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    publish(place.target(), one)
    assert check_what_is_there(place) == one.version


def lock_of_another_machine(place: Place) -> bytes:
    owner = lease.Owner("far-away", "another boot", "1@1", "0123")
    return owner.encoded()


@pytest.mark.parametrize("kind", ["sftp", "s3", "s3-conditional"])
def test_a_lock_of_another_machine_is_respected_while_it_is_renewed(
    kind: str, make_place: Callable[[str], Place], releases: Releases, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = make_place(kind)
    place.write(LOCK, lock_of_another_machine(place))
    target = place.target()
    target._patience = 2.0  # type: ignore[attr-defined]
    with pytest.raises(HostError, match="far-away"):
        publish(target, releases[0])
    assert RECORD not in place.names()
    monkeypatch.setattr(lease, "LEASE", 0)  # as if the time had passed
    time.sleep(1.1)
    publish(place.target(), releases[0])
    assert check_what_is_there(place) == releases[0].version


@pytest.mark.parametrize("kind", ["sftp", "s3", "s3-conditional"])
def test_nothing_is_switched_without_the_lock(
    kind: str, make_place: Callable[[str], Place], releases: Releases, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = make_place(kind)
    monkeypatch.setattr(lease.renewed.__wrapped__, "__defaults__", (0.2,))  # type: ignore[attr-defined]
    target = place.target()
    with target.lock():
        target.state(TEMPLATE)
        place.write(LOCK, lock_of_another_machine(place))
        end = time.monotonic() + 30
        while not target._lost._why and time.monotonic() < end:  # type: ignore[attr-defined]
            time.sleep(0.05)
        with pytest.raises(HostError, match="lost"):
            target.switch(after(None, releases[0]))
    assert RECORD not in place.names()
    assert place.read(LOCK) == lock_of_another_machine(place), "the lock of somebody else is left alone"


@pytest.mark.parametrize("kind", ["sftp", "s3", "s3-conditional"])
def test_a_lock_is_renewed(kind: str, make_place: Callable[[str], Place], monkeypatch: pytest.MonkeyPatch) -> None:
    place = make_place(kind)
    monkeypatch.setattr(lease.renewed.__wrapped__, "__defaults__", (0.2,))  # type: ignore[attr-defined]
    target, other = place.target(), place.target()
    other._patience = 3.0  # type: ignore[attr-defined]
    with target.lock():
        monkeypatch.setattr(lease, "LEASE", 2)
        with pytest.raises(HostError, match="somebody else"), other.lock():
            pass
        target._lost.check()  # type: ignore[attr-defined]


@pytest.fixture(params=[Sshd, Rclone], ids=["sftp", "s3"])
def own(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Peer, Place]]:
    """A server that only this test uses."""
    peer = request.param(tmp_path / "peer")
    peer.start()
    root = tmp_path / "stored"
    root.mkdir()
    if isinstance(peer, Sshd):
        yield peer, InFolder("sftp", peer.entry(root), tmp_path, root)
    else:
        yield peer, InBucket("s3", peer, tmp_path, "p")
    peer.kill()


def test_a_server_that_dies(own: tuple[Peer, Place], releases: Releases) -> None:
    peer, place = own
    one, two = releases
    publish(place.target(), one)

    def progress(done: int, total: int) -> None:
        if done > 6 * MIB:
            peer.kill()

    with pytest.raises(HostError) as caught:
        publish(place.target(), two, progress)
    assert "\n" not in caught.value.message
    with pytest.raises(HostError):
        place.target().state(TEMPLATE)
    peer.start()
    assert check_what_is_there(place) == one.version
    count = publish(place.target(), two)
    assert count <= two.size
    assert check_what_is_there(place) == two.version


def test_a_server_that_falls_silent(
    own: tuple[Peer, Place], releases: Releases, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer, place = own
    monkeypatch.setattr(s3_client, "READ", 2)
    monkeypatch.setattr(s3_client, "ATTEMPTS", 1)
    monkeypatch.setattr(s3_client, "SLOWEST", 4 * MIB)
    target = place.target()
    if isinstance(target, sftp.SftpTarget):
        target._stall = 2.0
    silent = False

    def progress(done: int, total: int) -> None:
        nonlocal silent
        if done > 6 * MIB and not silent:
            silent = True
            peer.signal(signal.SIGSTOP)

    with pytest.raises(HostError):
        publish(target, releases[0], progress)
    peer.signal(signal.SIGCONT)
    publish(place.target(), releases[0])
    assert check_what_is_there(place) == releases[0].version
