"""Runs that die halfway: the state after each step is created by hand, and the next run completes
it or cleans it up."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from imagebuild.errors import HostError, UsageError
from imagebuild.files import is_utf8
from imagebuild.scrub import ImageToScrub, transaction, workshop
from imagebuild.scrub.journal import Task
from imagebuild.scrub.scrubbing import _finished, untouched

OLD, NEW = b"old" * 4096, b"new!" * 4096


class Died(BaseException):
    """The end of a killed process."""


def images(folder: Path, *names: str) -> list[ImageToScrub]:
    found = []
    for name in names:
        (folder / name).write_bytes(OLD + name.encode())
        found.append(ImageToScrub(folder / name, "raw"))
    return found


def fill(work: workshop.Workshop, disks: Sequence[ImageToScrub]) -> None:
    for number, image in enumerate(disks):
        work.done(number).touch(mode=0o600)
        work.done(number).write_bytes(NEW + image.path.name.encode())


def die(disks: Sequence[ImageToScrub], task: Task, monkeypatch: pytest.MonkeyPatch, *, after: int) -> None:
    """Finish as a run does, which dies after so many disks."""
    done = []

    def dying(real: object) -> object:
        def call(*args: object, **kwargs: object) -> None:
            if len(done) == after:
                raise Died
            real(*args, **kwargs)  # type: ignore[operator]
            done.append(1)

        return call

    with monkeypatch.context() as patched, pytest.raises(Died), workshop.new(disks[0].path) as work:
        fill(work, disks)
        if task == "swap":
            real_rename, rename = os.rename, dying(os.rename)
            patched.setattr(
                transaction.os,
                "rename",
                lambda a, b, **fds: rename(a, b, **fds) if str(a).endswith(".done") else real_rename(a, b, **fds),
            )
        else:
            patched.setattr(transaction, "overwrite", dying(transaction.overwrite))
        transaction.finish(work, task, disks)
        raise Died  # before it could remove the journal: the last step
    assert workshop.path_for(disks[0].path).is_dir()


def content(disks: Sequence[ImageToScrub]) -> list[bytes]:
    return [image.path.read_bytes()[:-1] for image in disks]


@pytest.mark.parametrize("task", ["swap", "overwrite"])
@pytest.mark.parametrize("after", [0, 1])
@pytest.mark.parametrize("order", [1, -1], ids=["same order", "another order"])
def test_what_died_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: Task, after: int, order: int
) -> None:
    disks = images(tmp_path, "a", "b")
    inodes = [image.path.stat().st_ino for image in disks]
    die(disks, task, monkeypatch, after=after)
    with _finished(disks[::order]):
        assert content(disks) == [NEW, NEW]
        assert [image.path.read_bytes()[-1:] for image in disks] == [b"a", b"b"], "each has its own content"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
    assert ([image.path.stat().st_ino for image in disks] == inodes) is (task == "overwrite")


@pytest.mark.parametrize("written", [0, 4096, 6000, len(NEW) + 1])
def test_an_overwriting_that_died_halfway_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    (disk,) = images(tmp_path, "a")
    die([disk], "overwrite", monkeypatch, after=0)
    with disk.path.open("r+b") as file:
        file.truncate(4096)
        file.write((NEW + b"a")[:written])
    with _finished([disk]):
        assert disk.path.read_bytes() == NEW + b"a"


def test_a_run_that_died_before_its_journal_never_was(tmp_path: Path) -> None:
    (disk,) = images(tmp_path, "a")
    left = workshop.path_for(disk.path)
    left.mkdir(mode=0o700)
    (left / "0.raw").write_bytes(b"half")
    (left / "customise-x").mkdir()
    with _finished([disk]), workshop.new(disk.path) as work:
        assert list(work.path.iterdir()) == []
    assert not left.exists()
    assert content([disk]) == [OLD]


@pytest.mark.parametrize("task", ["swap", "overwrite"])
def test_an_audit_reports_what_is_unfinished_and_leaves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: Task
) -> None:
    disks = images(tmp_path, "a b", "b")
    die(disks, task, monkeypatch, after=1)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(HostError, match="interrupted while it changed 2 disks") as caught, untouched(disks):
        pytest.fail("it would read a mixture")
    assert f"imagebuild scrub '{tmp_path}/a b' {tmp_path}/b" in str(caught.value.hint)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_missing_disks_are_requested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disks = images(tmp_path, "a", "b")
    die(disks, "swap", monkeypatch, after=1)
    with pytest.raises(HostError, match="an unfinished scrub of 2 disks") as caught, _finished(disks[:1]):
        pytest.fail("one is the old one")
    assert "give all of them" in str(caught.value.hint)


def test_an_image_that_was_changed_since_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (disk,) = images(tmp_path, "a")
    die([disk], "swap", monkeypatch, after=0)
    disk.path.write_bytes(b"booted meanwhile")
    with pytest.raises(HostError, match="has been changed since"), _finished([disk]):
        pytest.fail("the change would be lost")
    assert disk.path.read_bytes() == b"booted meanwhile"


def test_a_swap_keeps_owner_mode_and_attributes_of_the_image(tmp_path: Path) -> None:
    (disk,) = images(tmp_path, "a")
    os.chown(disk.path, 1234, 4321)
    disk.path.chmod(0o640)
    os.setxattr(disk.path, "user.note", b"kept")
    with workshop.new(disk.path) as work:
        fill(work, [disk])
        transaction.finish(work, "swap", [disk])
    status = disk.path.stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (1234, 4321, 0o640)
    assert os.getxattr(disk.path, "user.note") == b"kept"


def test_a_swap_that_died_after_the_owner_was_changed_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (disk,) = images(tmp_path, "a")
    os.chown(disk.path, 1234, 4321)
    die([disk], "swap", monkeypatch, after=0)
    assert (workshop.path_for(disk.path) / "0.done").stat().st_uid == 1234
    with _finished([disk]):
        assert disk.path.read_bytes() == NEW + b"a"


def test_overwriting_keeps_names_handles_and_holes(tmp_path: Path) -> None:
    (disk,) = images(tmp_path, "a")
    other = tmp_path / "other name"
    other.hardlink_to(disk.path)
    with disk.path.open("rb") as handle, workshop.new(disk.path) as work:
        with work.done(0).open("wb") as file:
            file.truncate(64 << 20)
            file.seek(32 << 20)
            file.write(b"data")
        work.done(0).chmod(0o600)
        transaction.finish(work, "overwrite", [disk])
        assert handle.read(12) == bytes(12)
        handle.seek(32 << 20)
        assert handle.read(5) == b"data\0"
    assert other.stat().st_size == 64 << 20
    assert other.stat().st_blocks * 512 < 1 << 20


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_waits_until_the_images_are_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disks = images(tmp_path, "a", "b")
    real = transaction.overwrite

    def interrupted(source: int, target: Path) -> None:
        signal.raise_signal(signal.SIGINT)
        real(source, target)

    monkeypatch.setattr(transaction, "overwrite", interrupted)
    with pytest.raises(KeyboardInterrupt), workshop.new(disks[0].path) as work:
        fill(work, disks)
        transaction.finish(work, "overwrite", disks)
    assert content(disks) == [NEW, NEW]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_a_full_file_system_while_overwriting_leaves_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (disk,) = images(tmp_path, "a")

    def full(_source: int, target: Path) -> None:
        os.truncate(target, 4096)
        raise OSError(28, "No space left on device")

    with (
        monkeypatch.context() as patched,
        pytest.raises(HostError, match="only partly written: No space left"),
        workshop.new(disk.path) as work,
    ):
        patched.setattr(transaction, "overwrite", full)
        fill(work, [disk])
        transaction.finish(work, "overwrite", [disk])
    with _finished([disk]):
        assert content([disk]) == [NEW]


def test_too_little_space_is_found_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (disk,) = images(tmp_path, "a")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(0, 0, 0))
    with pytest.raises(HostError, match="needs 1 MiB more, but only 0 MiB are free"), workshop.new(disk.path) as work:
        work.done(0).write_bytes(b"x" * (1 << 20) + b"y" * 65536)
        work.done(0).chmod(0o600)
        transaction.finish(work, "overwrite", [disk])
    assert content([disk]) == [OLD]
    assert not workshop.path_for(disk.path).exists()


def test_an_output_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    (disk,) = images(tmp_path, "a")
    output = tmp_path / "new"
    with pytest.raises(UsageError, match="already exists"), workshop.new(output) as work:
        fill(work, [disk])
        output.write_bytes(b"somebody else's")
        transaction.place(work, disk, output, private=True)
    assert output.read_bytes() == b"somebody else's"


@pytest.mark.parametrize(("private", "mode"), [(True, 0o600), (False, 0o664)])
def test_an_output_with_password_hashes_is_readable_only_by_its_owner(tmp_path: Path, private: bool, mode: int) -> None:
    (disk,) = images(tmp_path, "a")
    disk.path.chmod(0o664)
    with workshop.new(tmp_path / "new") as work:
        fill(work, [disk])
        transaction.place(work, disk, tmp_path / "new", private=private)
    assert (tmp_path / "new").stat().st_mode & 0o7777 == mode
    assert disk.path.stat().st_mode & 0o7777 == 0o664


def test_two_runs_with_one_output_exclude_each_other(tmp_path: Path) -> None:
    with (
        workshop.new(tmp_path / "new") as work,
        pytest.raises(HostError, match="another imagebuild is making"),
        workshop.new(tmp_path / "new"),
    ):
        pytest.fail("both would work in one folder")
    assert not work.path.exists()


@pytest.mark.parametrize("name", ["ä" * 127, "no UTF-8: \udcff"], ids=["the longest there is", "no UTF-8"])
def test_an_image_may_have_any_name(tmp_path: Path, name: str) -> None:
    disk = ImageToScrub(tmp_path / name, "raw")
    disk.path.write_bytes(b"image")
    transaction.refuse_unfinished([disk])
    with workshop.new(disk.path) as work:
        assert work.path.parent == tmp_path
        assert is_utf8(str(work.path)), "libguestfs accepts nothing else"
    assert list(tmp_path.iterdir()) == [disk.path]
