"""The store and the artifacts: complete or absent."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagebuild.errors import HostError
from imagebuild.files import content_digest, sha256
from imagebuild.store import entry as entries
from imagebuild.store.artifact import ArtifactFolder
from imagebuild.store.entry import EntryFacts
from imagebuild.store.store import Store

HOLDING = """
import sys
from contextlib import ExitStack
from pathlib import Path
from imagebuild.store.store import Store

with ExitStack() as held:
    print(Store(Path(sys.argv[1])).take("payload", "abc", held), flush=True)
    sys.stdin.read()
"""
DAY = date(2026, 1, 31)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_an_entry_exists_once_its_block_has_ended(store: Store) -> None:
    with store.make("payload", "abc", within=store.root, label="r", inputs={"x": "1"}) as folder:
        (folder / "root.tar").write_text("data")
        assert store.find("payload", "abc") is None
    found = store.find("payload", "abc")
    assert found is not None
    assert (found / "root.tar").read_text() == "data"
    assert store.last("payload", "r") == ({"x": "1"}, found)
    assert store.last("payload", "other") is None


def test_a_failed_entry_leaves_nothing(store: Store) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        store.make("payload", "abc", within=store.root, label="r", inputs={}) as folder,
    ):
        (folder / "half").write_text("x")
        raise KeyboardInterrupt
    assert store.find("payload", "abc") is None
    assert list((store.root / "payload").iterdir()) == []


@pytest.mark.parametrize(("replace", "kept"), [(False, "first"), (True, "second")])
def test_two_makers_of_one_entry(store: Store, replace: bool, kept: str) -> None:
    for text in ("first", "second"):
        with store.make("payload", "abc", within=store.root, label="r", inputs={}, replace=replace) as folder:
            (folder / "by").write_text(text)
    found = store.find("payload", "abc")
    assert found is not None
    assert (found / "by").read_text() == kept
    assert [path.name for path in (store.root / "payload").iterdir()] == ["abc"]


def make(store: Store, fingerprint: str = "abc", label: str = "r") -> Path:
    with store.make("payload", fingerprint, within=store.root, label=label, inputs={}) as folder:
        (folder / "tree").mkdir()
        (folder / "tree" / "kernel").write_bytes(bytes(1 << 20) + b"data")
        (folder / "link").symlink_to("tree/kernel")
    found = store.find("payload", fingerprint)
    assert found is not None
    return found


def cut(folder: Path) -> None:
    (folder / "tree/kernel").write_bytes(b"")


def flip(folder: Path) -> None:
    with (folder / "tree/kernel").open("r+b") as file:
        file.seek(4096)
        file.write(b"x")


def leave_out(folder: Path) -> None:
    (folder / "tree/kernel").unlink()


def lead_elsewhere(folder: Path) -> None:
    (folder / "link").unlink()
    (folder / "link").symlink_to("/etc/passwd")


def forget(folder: Path) -> None:
    (folder / "entry.json").write_text('{"label": "r", "made": "2026", "inputs": {}}')


@pytest.mark.parametrize("damage", [cut, flip, leave_out, lead_elsewhere, forget])
def test_a_damaged_entry_is_moved_away(
    store: Store, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    folder = make(store)
    with ExitStack() as held:
        assert store.take("payload", "abc", held) == folder
    damage(folder)
    with ExitStack() as held:
        assert store.take("payload", "abc", held) is None
    assert "payload/abc in the store is damaged, and will be rebuilt" in caplog.text
    assert store.find("payload", "abc") is None
    assert len(list((store.root / "damaged").iterdir())) == 1
    make(store)
    with ExitStack() as held:
        assert store.take("payload", "abc", held) == folder


def test_what_is_linked_from_another_entry_is_not_read_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first = make(store)
    name = "tree/kernel"
    read: list[str] = []
    monkeypatch.setattr(entries, "content_digest", lambda path: read.append(path.name) or content_digest(path))
    with store.make("layer", "def", within=store.root, label="r", inputs={}, known=first) as folder:
        (folder / "tree").mkdir()
        (folder / name).hardlink_to(first / name)
        (folder / "own").write_text("own")
        (folder / "copy").write_bytes((first / name).read_bytes())
    assert sorted(read) == ["copy", "own"]
    assert store.facts("layer", "def").files[name] == store.facts("payload", "abc").files[name]
    with ExitStack() as held:
        second = store.take("layer", "def", held)
        assert second is not None
        assert store.remove(next(one for one in store.entries() if one.kind == "payload"))
        assert (second / name).stat().st_nlink == 1
        assert entries.damage(second) is None
        (second / name).write_text("changed")
        assert entries.damage(second) == f"the content of {name} has changed"


def test_an_entry_in_use_is_not_removed(store: Store) -> None:
    make(store)
    (entry,) = store.entries()
    assert (entry.kind, entry.fingerprint, entry.label) == ("payload", "abc", "r")
    held = subprocess.Popen([sys.executable, "-c", HOLDING, store.root], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert held.stdout is not None
    assert b"abc" in held.stdout.readline()
    assert not store.remove(entry, dry_run=True)
    assert not store.remove(entry)
    assert store.find("payload", "abc")
    held.kill()
    held.communicate()
    assert store.remove(entry, dry_run=True)
    assert store.find("payload", "abc")
    assert store.remove(entry)
    assert store.find("payload", "abc") is None
    assert list((store.root / "damaged").iterdir()) == []


@given(st.lists(st.tuples(st.integers(0, 40), st.binary(min_size=1, max_size=10)), max_size=4), st.integers(0, 5 << 20))
def test_the_digest_of_a_file_does_not_depend_on_its_holes(pieces: list[tuple[int, bytes]], size: int) -> None:
    with TemporaryDirectory() as folder:
        sparse, full = Path(folder, "sparse"), Path(folder, "full")
        with sparse.open("wb") as file:
            file.truncate(size)
            for at, content in pieces:
                file.seek(at * 131072)
                file.write(content)
        full.write_bytes(sparse.read_bytes())
        assert content_digest(sparse) == content_digest(full)
        with full.open("ab") as file:
            file.write(b"\0")
        assert content_digest(sparse) != content_digest(full)


def test_the_second_process_waits_and_learns_for_whom(store: Store) -> None:
    waited_for: list[str] = []
    order: list[str] = []
    inside, release = threading.Event(), threading.Event()

    def first() -> None:
        with store.locked("r", waited_for.append):
            inside.set()
            release.wait(10)
            order.append("first")

    holder = threading.Thread(target=first)
    holder.start()
    inside.wait(10)

    def on_wait(pid: str) -> None:
        waited_for.append(pid)
        release.set()

    with store.locked("r", on_wait):
        order.append("second")
    holder.join()
    assert order == ["first", "second"]
    assert waited_for == [str(os.getpid())]
    assert list((store.root / "locks").iterdir()) == []


def test_dead_and_living_runs_are_distinguished(store: Store) -> None:
    with store.runs.workdir("alive", shared=False) as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (store.root / "work" / "dead").mkdir()
        assert store.runs.dead() == ["dead"]
        assert [store.runs.is_living(run) for run in ("alive", "dead", "never")] == [True, False, False]
        store.runs.bury("dead")
        assert store.runs.dead() == []
    assert list((store.root / "work").iterdir()) == []


def test_the_key_does_not_change(store: Store) -> None:
    assert store.key() == store.key()
    assert stat.S_IMODE((store.root / "key").stat().st_mode) == 0o600


def build(output: ArtifactFolder, content: str) -> None:
    with output.new(DAY) as artifact:
        path = artifact.folder / "debian.qcow2"
        path.write_text(content)
        image = {"file": path.name, "size": len(content), "sha256": sha256(path)}
        (artifact.folder / "manifest.json").write_text(json.dumps({"image": image}))


def test_versions_count_up_and_latest_follows(tmp_path: Path) -> None:
    output = ArtifactFolder(tmp_path, "debian")
    assert output.latest() is None
    for content in ("one", "two!"):
        build(output, content)
    latest = output.latest()
    assert latest is not None
    assert (latest.version, latest.image.read_text()) == ("2026-01-31.2", "two!")
    assert (tmp_path / "debian/2026-01-31.1/debian.qcow2").read_text() == "one"


@pytest.mark.parametrize("name", ["debian-2.qcow2", "debian.vmdk"])
def test_an_artifact_with_a_missing_image_is_not_the_latest(tmp_path: Path, name: str) -> None:
    output = ArtifactFolder(tmp_path, "debian")
    with output.new(DAY) as artifact:
        images: list[dict[str, Any]] = [
            {"file": name, "size": 3, "sha256": "0"} for name in ("debian.qcow2", "debian-2.qcow2", "debian.vmdk")
        ]
        for image in images:
            (artifact.folder / image["file"]).write_text("one")
        manifest = {"image": images[0], "extra_images": images[1:2], "other_formats": images[2:]}
        (artifact.folder / "manifest.json").write_text(json.dumps(manifest))
    latest = output.latest()
    assert latest is not None
    (latest.folder / name).write_text("cut")
    assert output.latest() is not None
    (latest.folder / name).unlink()
    assert output.latest() is None


def test_sha256sum_agrees(tmp_path: Path) -> None:
    output = ArtifactFolder(tmp_path, "debian")
    build(output, "content")
    latest = output.latest()
    assert latest is not None
    subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=latest.folder, check=True, capture_output=True
    )
    assert sha256(latest.image) in (latest.folder / "SHA256SUMS").read_text()


def test_a_failed_artifact_leaves_nothing(tmp_path: Path) -> None:
    output = ArtifactFolder(tmp_path, "debian")
    with pytest.raises(KeyboardInterrupt), output.new(DAY) as artifact:
        (artifact.folder / "debian.qcow2").write_text("half")
        raise KeyboardInterrupt
    assert not (tmp_path / "debian").exists()


def test_an_image_that_was_cut_short_is_not_the_latest(tmp_path: Path) -> None:
    output = ArtifactFolder(tmp_path, "debian")
    build(output, "content")
    (tmp_path / "debian/2026-01-31.1/debian.qcow2").write_text("con")
    assert output.latest() is None


def test_the_next_build_removes_leftovers_of_a_killed_one(tmp_path: Path) -> None:
    output = ArtifactFolder(tmp_path, "debian")
    (tmp_path / "debian/.2026-01-31.1.deadbeef").mkdir(parents=True)
    (tmp_path / "debian/.latest.deadbeef").symlink_to("x")
    build(output, "content")
    assert sorted(path.name for path in (tmp_path / "debian").iterdir()) == ["2026-01-31.1", "latest"]


def test_a_folder_with_other_content_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home" / "work" / "project").mkdir(parents=True)
    with pytest.raises(HostError, match="home is not a store: it contains work"):
        Store(tmp_path / "home")
    assert Store(tmp_path / "home" / "cache").runs.dead() == []
    assert (
        (tmp_path / "home/cache/CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55\n")
    )
    assert Store(tmp_path / "home" / "cache").entries()
    (tmp_path / "old" / "work").mkdir(parents=True)
    (tmp_path / "old" / "key").touch()
    Store(tmp_path / "old")  # made before the tag was introduced
    (tmp_path / "home" / "cache" / "notes").touch()
    Store(tmp_path / "home" / "cache")  # already a store


@pytest.mark.seconds
def test_several_processes_create_a_store_concurrently(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from imagebuild.store.store import Store; "
        "print(Store(Path(sys.argv[1])).key())"
    )
    argv = [sys.executable, "-c", code, tmp_path / "store"]
    started = [subprocess.Popen(argv, stdout=subprocess.PIPE) for _ in range(6)]
    outputs = {one.communicate()[0] for one in started}
    assert [one.returncode for one in started] == [0] * 6
    assert len(outputs) == 1


# A store of somebody else, or with something of somebody else in it.


def canary(tmp_path: Path) -> Path:
    path = tmp_path / "elsewhere" / "canary"
    path.parent.mkdir()
    path.write_text("stays")
    return path


def test_a_store_is_writable_by_its_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = Store(tmp_path / "store")
        make(store)
        with store.runs.workdir("run", shared=True), store.locked("some", print):
            store.set_state("mirror", "x")
            store.failure_folder("web")
            assert store.key()
            assert Store(store.root).find("payload", "abc"), "it is one that is believed"
    finally:
        os.umask(before)


@pytest.mark.parametrize("name", ["", "work", "payload", "key"])
def test_a_store_of_another_user_is_refused(store: Store, name: str) -> None:
    make(store)
    store.key()
    with store.runs.workdir("run", shared=False):
        pass
    path = store.root / name
    os.chown(path, 1234, 1234)
    with pytest.raises(HostError, match="belongs to user 1234") as caught:
        Store(store.root)
    assert caught.value.hint == "choose another with --store"
    os.chown(path, os.geteuid(), os.getegid())
    Store(store.root)


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o1777])
@pytest.mark.parametrize("name", ["", "payload"])
def test_a_store_that_others_may_write_is_refused(store: Store, name: str, mode: int) -> None:
    make(store)
    path = store.root / name
    path.chmod(mode)
    with pytest.raises(HostError, match=f"writable by other users \\(mode {mode:04o}\\)") as caught:
        Store(store.root)
    assert f"chmod -R go-w {path}" in str(caught.value.hint)


@pytest.mark.parametrize("name", ["work", "key", "payload", "locks", "history.sqlite", "host.json", "damaged"])
def test_a_link_in_a_store_is_refused(store: Store, tmp_path: Path, name: str) -> None:
    stays = canary(tmp_path)
    (store.root / name).symlink_to(stays.parent)
    with pytest.raises(HostError, match=f"{name} in it is neither a file nor a folder"):
        Store(store.root)
    (store.root / name).unlink()
    os.mkfifo(store.root / name)
    with pytest.raises(HostError, match=f"{name} in it is neither a file nor a folder"):
        Store(store.root)


def test_the_store_itself_may_be_a_link(store: Store, tmp_path: Path) -> None:
    make(store)
    (tmp_path / "link").symlink_to(store.root)
    assert Store(tmp_path / "link").find("payload", "abc")


def test_links_deeper_in_a_store_are_not_followed(store: Store, tmp_path: Path) -> None:
    stays = canary(tmp_path)
    (stays.parent / "entry.json").write_text(json.dumps({"label": "r", "made": "2026", "inputs": {}, "files": {}}))
    make(store)
    (store.root / "payload" / "linked").symlink_to(stays.parent)
    (store.root / "locks").mkdir()
    (store.root / "locks" / "some").symlink_to(stays)
    (store.root / "work").mkdir()
    (store.root / "work" / "run-1").symlink_to(stays.parent)
    (store.root / "work" / "run-2").write_text("no folder")
    assert store.find("payload", "linked") is None
    assert [entry.fingerprint for entry in store.entries()] == ["abc"]
    with pytest.raises(OSError, match="symbolic link"), store.locked("some", print):
        pytest.fail("it would be emptied")
    store.clear_locks()
    for run in store.runs.dead():
        store.runs.bury(run)
    assert list((store.root / "work").iterdir()) == []
    assert stays.read_text() == "stays"


# What stands in a folder for artifacts.


def test_a_latest_link_that_points_elsewhere_is_ignored(tmp_path: Path) -> None:
    output = ArtifactFolder(tmp_path / "out", "web")
    there = tmp_path / "2026-01-31.1"
    for folder in (there, output.folder / "2026-01-31.2"):
        folder.mkdir(parents=True)
        (folder / "web.qcow2").write_text("image")
        (folder / "manifest.json").write_text(json.dumps({"image": {"file": "web.qcow2", "size": 5}}))
    latest = output.folder / "latest"
    latest.symlink_to("2026-01-31.2")
    assert output.latest() is not None
    for target in ("../../2026-01-31.1", str(there), "."):
        latest.unlink()
        latest.symlink_to(target)
        assert output.latest() is None
    latest.unlink()
    latest.symlink_to("2026-01-31.2")
    manifest = {"image": {"file": "../../2026-01-31.1/web.qcow2", "size": 5}}
    (output.folder / "2026-01-31.2" / "manifest.json").write_text(json.dumps(manifest))
    assert output.latest() is None


def test_a_version_that_is_a_link_is_not_removed(tmp_path: Path) -> None:
    output = ArtifactFolder(tmp_path / "out", "web")
    output.folder.mkdir(parents=True)
    (output.folder / "2026-01-31.1").symlink_to(tmp_path)
    assert output.superfluous(0) == []


def test_what_arrives_becomes_an_entry_only_with_the_right_content(store: Store) -> None:
    name, fingerprint = "pull-installed-1", "ab" * 32
    folder = store.incoming(name)
    (folder / "disk.raw").write_text("other")
    good = EntryFacts("web", "2026-11-30T00:00:00+00:00", {}, {"disk.raw": (5, "00")})
    with pytest.raises(ValueError, match=r"disk\.raw has changed"):
        store.adopt("installed", fingerprint, folder, good)
    assert store.find("installed", fingerprint) is None
    (folder / "more").write_text("")
    with pytest.raises(ValueError, match="more does not belong to it"):
        store.adopt("installed", fingerprint, folder, good)
    (folder / "more").unlink()
    facts = replace(good, files={"disk.raw": (5, content_digest(folder / "disk.raw"))})
    store.adopt("installed", fingerprint, folder, facts)
    assert store.find("installed", fingerprint) is not None
    assert not folder.exists()
    assert store.facts("installed", fingerprint) == facts
