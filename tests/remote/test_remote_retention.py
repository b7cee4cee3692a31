"""What retention removes from a remote store, and what it never removes."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import FINGERPRINT, MIB, OTHER, Remote, RemoteFolder, make_entry

from imagebuild.errors import HostError
from imagebuild.remote import remote_store, retention
from imagebuild.remote.retention import RetentionRules
from imagebuild.store.store import Store

ALL = RetentionRules(keep=100)
_DAY = 86400.0


def age(folder: RemoteFolder, prefix: str, seconds: float) -> None:
    """Make objects older."""
    then = time.time() - seconds
    for name in folder.names():
        if name.startswith(prefix):
            os.utime(folder.root / name, (then, then))


def entries(remote: Remote) -> list[str]:
    return sorted(name for name in remote.names() if name.startswith("entries/"))


def push(remote: Remote, machine: Store, *fingerprints: str, kind: str = "installed") -> None:
    for seed, fingerprint in enumerate(fingerprints, start=1):
        make_entry(machine, fingerprint, seed=seed, kind=kind, size=MIB)
        remote.opened().push(kind, fingerprint, machine)


def test_entries_are_listed_with_what_they_take(remote: Remote, one: Store, two: Store) -> None:
    push(remote, one, FINGERPRINT, OTHER)
    found = retention.entries(remote.opened())
    assert {(found.kind, found.fingerprint, found.label, found.wrong) for found in found} == {
        ("installed", FINGERPRINT, "web", ""), ("installed", OTHER, "web", "")
    }  # fmt: skip
    assert all(MIB < one.size < 1.1 * MIB for one in found)
    assert {one.wrong for one in retention.entries(remote.opened("f" * 64))} == {"it is sealed with another key"}


def test_only_the_last_results_of_a_recipe_stay(folder: RemoteFolder, one: Store, two: Store) -> None:
    push(folder, one, FINGERPRINT, OTHER)
    age(folder, f"entries/installed/{OTHER}", 100)
    dry = retention.prune(folder.opened(), RetentionRules(keep=1), dry_run=True)
    assert [removed.why for removed in dry.removed] == ["web has 1 that were used later"]
    before = folder.names()
    done = retention.prune(folder.opened(), RetentionRules(keep=1))
    assert done == dry
    assert entries(folder) == [f"entries/installed/{FINGERPRINT}"]
    assert sum((folder.root / name).stat().st_size for name in folder.names() if "chunks" in name) == done.kept
    assert len(folder.names()) < len(before)
    assert folder.opened().pull("installed", FINGERPRINT, two)


def test_what_was_used_last_stays(folder: RemoteFolder, one: Store, two: Store) -> None:
    push(folder, one, FINGERPRINT, OTHER)
    age(folder, "entries/", 3 * _DAY)
    assert folder.opened().pull("installed", OTHER, two)
    retention.prune(folder.opened(), RetentionRules(keep=9, unused=2 * _DAY))
    assert entries(folder) == [f"entries/installed/{OTHER}"]


def test_the_least_recently_used_go_until_it_fits(folder: RemoteFolder, one: Store) -> None:
    names = [f"{number:02x}" * 32 for number in range(1, 5)]
    push(folder, one, *names)
    for number, name in enumerate(names):
        age(folder, f"entries/installed/{name}", 1000 * (number + 1))
    done = retention.prune(folder.opened(), RetentionRules(keep=9, max_size=int(2.5 * MIB)))
    assert entries(folder) == [f"entries/installed/{name}" for name in names[:2]]
    assert {one.why for one in done.removed} == {"least recently used"}
    assert done.kept < 2.5 * MIB


def test_what_interrupted_pushes_left_goes(remote: Remote, one: Store, two: Store) -> None:
    push(remote, one, FINGERPRINT)
    whole = remote.names()
    make_entry(one, OTHER, seed=2, size=MIB)
    store = remote.opened()
    original = store.place.write

    def cut(name: str, content: bytes) -> None:
        if name.startswith("entries/"):
            raise HostError("cut")
        original(name, content)

    store.place.write = cut  # type: ignore[method-assign]
    with pytest.raises(HostError, match="cut"):
        store.push("installed", OTHER, one)
    assert len(remote.names()) > len(whole)
    (left,) = retention.prune(remote.opened(), ALL).removed
    assert (left.what, left.why) == ("parts that no entry needs", "left by interrupted pushes")
    assert remote.names() == whole
    assert remote.opened().pull("installed", FINGERPRINT, two)


def test_announcements_and_parts_of_killed_processes_go(folder: RemoteFolder, one: Store) -> None:
    push(folder, one, FINGERPRINT)
    whole = folder.names()
    for name in ("pushes", "prunes", "used/installed"):
        (folder.root / name).mkdir(exist_ok=True, parents=True)
    left = (f"pushes/{'a' * 32}", f"prunes/{'b' * 32}", f"entries/installed/.{OTHER}.00112233.part")
    chunk = f"chunks/{FINGERPRINT[:2]}/.{FINGERPRINT}.00112233.part"
    (folder.root / chunk).parent.mkdir(exist_ok=True)
    for name in (*left, chunk):
        folder.write(name, b"x")
    retention.prune(folder.opened(), ALL)
    assert folder.names() >= whole | {*left, chunk}  # somebody may be writing
    for name in (*left, chunk):
        age(folder, name, 2 * remote_store.LEASE)
    retention.prune(folder.opened(), ALL)
    assert folder.names() == whole


def test_what_is_being_pushed_stays(folder: RemoteFolder, one: Store, two: Store) -> None:
    make_entry(one, size=MIB)
    store = folder.opened()
    reached, go_on = threading.Event(), threading.Event()
    original = store.place.write

    def waiting(name: str, content: bytes) -> None:
        if name.startswith("entries/"):
            reached.set()
            assert go_on.wait(60)
        original(name, content)

    store.place.write = waiting  # type: ignore[method-assign]
    pushing = threading.Thread(target=store.push, args=("installed", FINGERPRINT, one))
    pushing.start()
    try:
        assert reached.wait(60)
        assert retention.prune(folder.opened(), RetentionRules(keep=1, max_size=0)).removed == ()
    finally:
        go_on.set()
        pushing.join()
    assert folder.opened().pull("installed", FINGERPRINT, two)


def test_who_pushes_waits_for_retention(folder: RemoteFolder, one: Store) -> None:
    make_entry(one, size=MIB)
    (folder.root / "prunes").mkdir()
    folder.write(f"prunes/{'b' * 32}", b"")
    with pytest.raises(HostError, match="something is removing entries"):
        folder.opened(patience=0.5).push("installed", FINGERPRINT, one)
    assert not any(name.startswith(("entries/", "chunks/", "pushes/")) for name in folder.names())
    age(folder, "prunes/", 2 * remote_store.LEASE)  # of a killed process
    folder.opened().push("installed", FINGERPRINT, one)


def test_entries_that_are_not_taken_go(folder: RemoteFolder, one: Store) -> None:
    push(folder, one, FINGERPRINT)
    folder.write(f"entries/installed/{OTHER}", b"garbage")
    (removed,) = retention.prune(folder.opened(), ALL).removed
    assert removed.why == "it is not sealed, and the project has a key"
    assert entries(folder) == [f"entries/installed/{FINGERPRINT}"]


def test_entries_of_another_version_are_not_touched(folder: RemoteFolder, one: Store) -> None:
    push(folder, one, FINGERPRINT, OTHER)
    name = f"entries/installed/{OTHER}"
    folder.write(name, folder.read(name).replace(b'"format":1', b'"format":2'))
    before = folder.names()
    with pytest.raises(HostError, match="another version of imagebuild uses"):
        retention.prune(folder.opened(None), RetentionRules(keep=1))
    assert folder.names() == before


def test_chunks_of_entries_that_stay_are_never_removed(folder: RemoteFolder, one: Store, two: Store) -> None:
    make_entry(one, FINGERPRINT, size=MIB)
    make_entry(one, OTHER, size=MIB)  # the same content
    for name in (FINGERPRINT, OTHER):
        folder.opened().push("installed", name, one)
    age(folder, f"entries/installed/{OTHER}", 100)
    retention.prune(folder.opened(), RetentionRules(keep=1))
    assert entries(folder) == [f"entries/installed/{FINGERPRINT}"]
    assert folder.opened().pull("installed", FINGERPRINT, two)


def test_other_files_in_the_folder_stay(folder: RemoteFolder, one: Store, tmp_path: Path) -> None:
    push(folder, one, FINGERPRINT)
    (folder.root / "README").write_text("of somebody else\n")
    (folder.root / "entries" / "notes").write_text("of somebody else\n")
    retention.prune(folder.opened(), RetentionRules(keep=1, max_size=0))
    assert {"README", "entries/notes"} <= folder.names()


def test_what_cannot_be_written_cannot_be_pruned(folder: RemoteFolder, one: Store, web: Any) -> None:
    push(folder, one, FINGERPRINT)
    with pytest.raises(HostError, match="can only be read"):
        retention.prune(folder.opened(push="never"), ALL)
    with pytest.raises(HostError, match="has no list"):
        retention.entries(web[0].opened())
