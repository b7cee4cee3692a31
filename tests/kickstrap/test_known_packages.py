"""Names of packages are looked up in a mirror's index, and what was found is remembered."""

from __future__ import annotations

import lzma
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from faulty_server import FaultyServer

from imagebuild.kickstrap import known_packages
from imagebuild.kickstrap.known_packages import MirrorPackages
from imagebuild.kickstrap.mirror import Mirror, host_mirror
from imagebuild.store.store import Store

INDEX = """\
Package: vim
Version: 2:9.1
Provides: editor, vim-python3 (= 2:9.1), libvim:any

Package: nginx
Version: 1.26
Provides: httpd
"""
WANTED = ("vim", "editor", "vim-python3", "libvim", "httpd")
Clock = Callable[[float], None]


@pytest.fixture
def packages(server: FaultyServer) -> MirrorPackages:
    put(server, INDEX)
    return MirrorPackages(server.url("/debian"), "trixie", ("main", "contrib"), "x86_64")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Moves the clock forward."""
    passed = 0.0
    real = time.time

    def by(seconds: float) -> None:
        nonlocal passed
        passed += seconds

    monkeypatch.setattr(known_packages.time, "time", lambda: real() + passed)
    return by


def put(server: FaultyServer, text: str) -> None:
    server.content["/debian/dists/trixie/main/binary-amd64/Packages.xz"] = lzma.compress(text.encode())


def test_names_and_what_packages_provide_exist(packages: MirrorPackages, store: Store) -> None:
    verdict = packages.check([*WANTED, "ngnix", "wholly-unlike"], store, offline=False)
    assert verdict.note == ""
    assert list(verdict.unknown) == ["ngnix", "wholly-unlike"]
    assert verdict.unknown["ngnix"] == "did you mean 'nginx'?"
    assert "installer.components" in verdict.unknown["wholly-unlike"]


def test_the_mirror_is_asked_once(packages: MirrorPackages, store: Store, server: FaultyServer, later: Clock) -> None:
    packages.check(WANTED, store, offline=False)
    asked = len(server.seen)
    assert asked == 3  # contrib is not there, as .xz and as .gz
    assert packages.check(["nginx", "nginxx"], store, offline=False).unknown.keys() == {"nginxx"}
    assert packages.check(WANTED, store, offline=True).unknown == {}
    later(known_packages.CURRENT_FOR + 60)
    assert packages.check(WANTED, store, offline=False).note == ""
    assert packages.check(["nginx"], store, offline=False).note == ""
    assert len(server.seen) == asked


def test_an_old_index_accuses_nobody(
    packages: MirrorPackages, store: Store, server: FaultyServer, later: Clock
) -> None:
    packages.check(WANTED, store, offline=False)
    put(server, INDEX + "\nPackage: tree\n")
    assert packages.check(["tree"], store, offline=False).unknown.keys() == {"tree"}
    later(known_packages.CURRENT_FOR + 60)
    verdict = packages.check(["tree", "vim"], store, offline=True)
    assert verdict.unknown == {}
    assert verdict.note.startswith("offline; not in the index of 20")
    assert verdict.note.endswith(": tree")
    assert packages.check(["tree"], store, offline=False) == known_packages.PackageVerdict({})


def test_a_mirror_that_does_not_answer_is_left_alone_for_a_while(
    packages: MirrorPackages, store: Store, server: FaultyServer, later: Clock
) -> None:
    server.faults.statuses = [500] * 10
    first = packages.check(WANTED, store, offline=False)
    assert first.unknown == {}
    assert "500" in first.note
    asked = len(server.seen)
    assert packages.check(WANTED, store, offline=False) == first
    assert len(server.seen) == asked
    server.faults.statuses = []
    later(known_packages.SILENT_FOR + 1)
    assert packages.check(WANTED, store, offline=False).note == ""


def test_offline_nothing_is_asked(packages: MirrorPackages, store: Store, server: FaultyServer) -> None:
    assert packages.check(["ngnix"], store, offline=True) == known_packages.PackageVerdict({}, "offline")
    assert packages.check(["ngnix"], None, offline=False).note == "the store cannot be used"
    assert server.seen == []


@pytest.mark.parametrize("content", [b"", b"not xz"])
def test_a_damaged_index_is_a_note(
    packages: MirrorPackages, store: Store, server: FaultyServer, content: bytes
) -> None:
    server.content = dict.fromkeys(server.content, content)
    assert "damaged" in packages.check(WANTED, store, offline=False).note


def test_a_mirror_without_the_suite_is_a_note(packages: MirrorPackages, store: Store) -> None:
    assert "has no sid" in replace(packages, suite="sid").check(WANTED, store, offline=False).note


def test_damaged_states_are_no_states(packages: MirrorPackages, store: Store) -> None:
    packages.check(WANTED, store, offline=False)
    for path in (store.root / "states").iterdir():
        path.write_text("[1]\nx")
    assert packages.check([*WANTED, "ngnix"], store, offline=False).unknown.keys() == {"ngnix"}


def test_without_a_mirror_nothing_is_known(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_packages, "cached_mirror", lambda _store: Mirror())
    verdict = MirrorPackages(None, "trixie", ("main",), "x86_64").check(["vim"], store, offline=False)
    assert "no Debian mirror" in verdict.note
    assert verdict.unknown == {}


@pytest.mark.seconds
def test_the_index_of_this_hosts_mirror(store: Store) -> None:
    """Real packages, purely virtual ones, and those that only other packages provide."""
    assert host_mirror().main
    names = ("openssh-server", "mail-transport-agent", "awk", "linux-image-amd64", "python3-all", "default-mta")
    verdict = MirrorPackages(None, "trixie", ("main",), "x86_64").check([*names, "ngnix"], store, offline=False)
    assert verdict == known_packages.PackageVerdict({"ngnix": "did you mean 'nginx'?"})
