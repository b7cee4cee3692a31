"""A folder that is full, forbidden, absent, hostile, or not what it was."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from storage_driver import MIB, TEMPLATE, after, image, publish, quiet, release_of

from imagebuild.errors import HostError
from imagebuild.publish.release import Release
from imagebuild.publish.state import LARGEST, RecordError
from imagebuild.publish.targets import local_folder as folder_module
from imagebuild.publish.targets.local_folder import FolderTarget

RECORD = f"{TEMPLATE}.json"
NOBODY = 65534


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    folder = tmp_path / "stored"
    folder.mkdir()
    return folder


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return release_of("1", image(tmp_path / "disk", 3 * MIB + 5))


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    path = tmp_path / "full"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", path], check=True)
    yield path
    subprocess.run(["umount", path], check=True)


@contextmanager
def somebody() -> Iterator[None]:
    """Another user than root."""
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_broken_record_is_named_with_its_file(stored: Path) -> None:
    (stored / "web.json").write_text("{x")
    with pytest.raises(RecordError, match=rf"not JSON from line 1, column 2 \({stored}/web.json\)"):
        FolderTarget("nfs", stored).state("web")
    (stored / "web.json").write_bytes(b" " * (LARGEST + 1))
    with pytest.raises(RecordError, match=rf"it is too large \({stored}/web.json\)"):
        FolderTarget("nfs", stored).state("web")


def test_published_files_are_read_only_copies(stored: Path, release: Release) -> None:
    publish(FolderTarget("nfs", stored), release)
    path = stored / release.files[0].stored.name
    assert path.stat().st_mode & 0o7777 == 0o444
    assert path.stat().st_nlink == 1
    assert not path.samefile(release.files[0].path)
    assert (stored / RECORD).stat().st_mode & 0o7777 == 0o644


def test_the_digest_is_of_the_disk_not_of_memory(
    stored: Path, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = FolderTarget("nfs", stored)
    publish(target, release)
    path = stored / release.files[0].stored.name
    path.read_bytes()
    assert in_memory(path)
    reading = os.pread
    seen = []

    def pread(descriptor: int, length: int, at: int) -> bytes:
        seen.append(in_memory(path))
        return reading(descriptor, length, at)

    monkeypatch.setattr(folder_module.os, "pread", pread)
    assert target.digest(release.files[0].stored, quiet) == release.files[0].stored.sha256
    assert seen[0] is False


def in_memory(path: Path) -> bool:
    """Whether the page cache has any of a file's pages."""
    command = ["fincore", "--bytes", "--noheadings", "--output", "RES", path]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout) > 0


def test_a_file_system_without_room(full: Path, tmp_path: Path, release: Release) -> None:
    publish(FolderTarget("nfs", full), release)
    large = release_of("2", image(tmp_path / "large", 9 * MIB))
    with pytest.raises(HostError, match="no room"):
        publish(FolderTarget("nfs", full), large)
    state = FolderTarget("nfs", full).state(TEMPLATE)
    assert state is not None
    assert state.current == "1"
    assert list(FolderTarget("nfs", full).stored()) == [release.files[0].stored.name]


def test_a_file_system_that_fills_up_meanwhile(full: Path, release: Release) -> None:
    def progress(done: int, total: int) -> None:
        if done >= MIB and not (full / "filler").exists():
            with (full / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError, match="No space"):
                while True:
                    filler.write(bytes(1 << 16))

    with pytest.raises(HostError, match="no room"):
        publish(FolderTarget("nfs", full), release, progress)
    assert {path.name for path in full.iterdir()} == {".imagebuild.lock", "filler"}


def test_no_room_for_the_record(full: Path, release: Release) -> None:
    target = FolderTarget("nfs", full)
    publish(target, release)
    old = (full / RECORD).read_bytes()
    with (full / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError, match="No space"):
        while True:
            filler.write(bytes(4096))
    state = target.state(TEMPLATE)
    with pytest.raises(HostError, match="no room"):
        target.switch(after(state, release_of("2", release.files[0].path)))
    assert (full / RECORD).read_bytes() == old
    assert not list(full.glob(".*.new"))


def test_a_folder_where_nothing_may_be_written(release: Release) -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        target = FolderTarget("nfs", Path(name))
        with somebody(), pytest.raises(HostError, match="cannot publish to nfs"):
            publish(target, release)
        assert not list(Path(name).iterdir())


def test_another_user_resumes_nothing_but_publishes(release: Release) -> None:
    """A part that is complete and read-only, as after a kill in the last moment."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        copy = folder / "source"
        copy.write_bytes(release.files[0].path.read_bytes())
        mine = release_of("1", copy)
        part = folder / f"{mine.files[0].stored.name}.part"
        part.write_bytes(copy.read_bytes())
        part.chmod(0o444)
        os.chown(part, NOBODY, NOBODY)
        with somebody():
            publish(FolderTarget("nfs", folder), mine)
        assert not part.exists()


def test_a_folder_that_is_not_mounted(tmp_path: Path, release: Release) -> None:
    target = FolderTarget("nfs", tmp_path / "absent")
    for call in (
        lambda: publish(target, release),
        target.templates,
        target.stored,
        lambda: target.state(TEMPLATE),
        lambda: target.digest(release.files[0].stored, quiet),
        lambda: target.remove(release.files[0].stored.name),
    ):
        with pytest.raises(HostError, match="is not there"):
            call()
    assert not (tmp_path / "absent").exists()


@pytest.mark.parametrize("suffix", ["", ".part"])
def test_a_link_is_not_followed(stored: Path, tmp_path: Path, release: Release, suffix: str) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (stored / (release.files[0].stored.name + suffix)).symlink_to(victim)
    with pytest.raises(HostError, match="symbolic link"):
        publish(FolderTarget("nfs", stored), release)
    assert victim.read_bytes() == b"precious"
    assert not (stored / RECORD).exists()


def test_a_part_that_is_also_another_file_is_not_written(stored: Path, tmp_path: Path, release: Release) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (stored / (release.files[0].stored.name + ".part")).hardlink_to(victim)
    with pytest.raises(HostError, match="of its own"):
        publish(FolderTarget("nfs", stored), release)
    assert victim.read_bytes() == b"precious"


@pytest.mark.parametrize("name", [RECORD, ".imagebuild.lock"])
def test_a_pipe_does_not_make_it_wait(stored: Path, release: Release, name: str) -> None:
    os.mkfifo(stored / name)
    if name == RECORD:
        with pytest.raises(HostError, match="not a regular file"):
            publish(FolderTarget("nfs", stored), release)
    else:
        publish(FolderTarget("nfs", stored), release)


def test_wrong_bytes_in_a_part_are_sent_again(stored: Path, release: Release) -> None:
    file = release.files[0]
    part = stored / f"{file.stored.name}.part"
    content = bytearray(file.path.read_bytes())
    content[MIB + 7] ^= 0xFF
    part.write_bytes(bytes(content) + b"more than there should be")
    assert publish(FolderTarget("nfs", stored), release) == file.stored.size - MIB
    assert (stored / file.stored.name).read_bytes() == file.path.read_bytes()


def test_a_name_that_is_taken_meanwhile_is_not_replaced(stored: Path, release: Release) -> None:
    name = release.files[0].stored.name

    def progress(done: int, total: int) -> None:
        (stored / name).write_bytes(b"somebody else's")

    with pytest.raises(HostError):
        publish(FolderTarget("nfs", stored), release, progress)
    assert (stored / name).read_bytes() == b"somebody else's"
