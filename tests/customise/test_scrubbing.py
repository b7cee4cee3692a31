"""Scrubbing existing images: on a copy, in place, as a dry run; and what prevents it."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from imagebuild import scrub as scrubbing
from imagebuild.customise import registry
from imagebuild.errors import GuestError, HostError
from imagebuild.scrub import ImageToScrub, images, recognised, scrub
from tests import ext4
from tests.customise.conftest import ROOT

CALLS = [registry.call(name) for name in ("reset-machine-id", "remove-udev-rules", "clean-logs")]
FAILING = [*CALLS, registry.call("remove-accounts", {"users": ["root"]})]


@pytest.fixture
def raw(installed_disk: Path, tmp_path: Path) -> Path:
    path = tmp_path / "disk.raw"
    subprocess.run(["cp", "--sparse=always", installed_disk, path], check=True)
    path.chmod(0o640)
    return path


@pytest.fixture
def qcow2(installed_disk: Path, tmp_path: Path) -> Path:
    path = tmp_path / "disk.qcow2"
    subprocess.run(["qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", installed_disk, path], check=True)
    return path


@pytest.fixture(autouse=True)
def _nothing_is_left(tmp_path: Path) -> Iterator[None]:
    yield
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def changed(images: tuple[ImageToScrub, ...], way: scrubbing.Way = "dry-run") -> dict[str, set[str]]:
    result = scrub(images, CALLS, accel="tcg", way=way)
    return {one.name: {change.path for change in one.changes} for one in result.operations if one.changes}


@pytest.mark.guestfs
def test_a_raw_image_is_swapped_and_a_second_run_finds_nothing(raw: Path) -> None:
    before, inode = digest(raw), raw.stat().st_ino
    first = changed(recognised([raw]), "swap")
    assert first["reset-machine-id"] == {"/etc/machine-id"}
    assert digest(raw) != before
    assert raw.stat().st_ino != inode
    assert raw.stat().st_mode & 0o777 == 0o640
    assert "reset-machine-id" not in changed(recognised([raw]))


@pytest.mark.guestfs
def test_a_compressed_qcow2_in_place(qcow2: Path) -> None:
    inode = qcow2.stat().st_ino
    assert "reset-machine-id" in changed(recognised([qcow2]), "in-place")
    assert qcow2.stat().st_ino == inode
    subprocess.run(["qemu-img", "check", "-q", "-f", "qcow2", qcow2], check=True)
    raw = qcow2.with_suffix(".raw")
    subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", qcow2, raw], check=True)
    assert ext4.content(raw, ROOT, "/etc/machine-id") == b""


@pytest.mark.guestfs
def test_a_dry_run_shows_differences_and_changes_nothing(raw: Path) -> None:
    before = digest(raw)
    calls = [registry.call("disable-selinux"), *CALLS]
    result = scrub(recognised([raw]), calls, accel="tcg", way="dry-run")
    selinux = next(one for one in result.operations if one.name == "disable-selinux")
    config = next(change for change in selinux.changes if change.path == "/etc/selinux/config")
    assert config.diff.splitlines()[-2:] == ["-SELINUX=enforcing", "+SELINUX=disabled"]
    assert digest(raw) == before


@pytest.mark.guestfs
@pytest.mark.parametrize("way", ["swap", "in-place"])
def test_a_failing_operation_leaves_the_image_as_it_was(raw: Path, way: scrubbing.Way) -> None:
    before = digest(raw)
    with pytest.raises(GuestError, match="remove-accounts"):
        scrub(recognised([raw]), FAILING, accel="tcg", way=way)
    assert digest(raw) == before


@pytest.mark.guestfs
def test_output_leaves_the_image_alone(raw: Path, tmp_path: Path) -> None:
    before = digest(raw)
    scrub(recognised([raw]), CALLS, accel="tcg", output=tmp_path / "new.raw")
    assert digest(raw) == before
    assert ext4.content(tmp_path / "new.raw", ROOT, "/etc/machine-id") == b""


@pytest.mark.guestfs
def test_audit_reports_what_is_carried_and_changes_nothing(raw: Path) -> None:
    before = digest(raw)
    result = scrubbing.audit(recognised([raw]), accel="tcg")
    found = {one.name: {change.path for change in one.changes} for one in result.operations if one.changes}
    assert found["reset-machine-id"] == {"/etc/machine-id"}
    assert found["remove-udev-rules"] == {"/etc/udev/rules.d/70-persistent-net.rules"}
    assert digest(raw) == before


# What prevents it.


def locked(image: Path) -> None:
    """The first step of every run."""
    with images.locked(recognised([image])):
        pass


def test_an_image_that_another_run_works_on(tmp_path: Path) -> None:
    image = tmp_path / "disk.raw"
    image.write_bytes(b"\0" * 4096)
    with image.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(HostError, match="another imagebuild is working on"):
            locked(image)


def test_an_image_that_was_replaced_while_it_was_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = tmp_path / "disk.raw"
    image.write_bytes(b"\0" * 4096)

    def replaced(_descriptor: int, _operation: int) -> None:
        (tmp_path / "new").write_bytes(b"\0" * 4096)
        (tmp_path / "new").replace(image)

    monkeypatch.setattr(fcntl, "flock", replaced)
    with pytest.raises(HostError, match="has just replaced"):
        locked(image)


@contextmanager
def opened(image: Path, fmt: str, *words: str) -> Iterator[None]:
    """A QEMU program has the image open."""
    argv = ["qemu-io", "-f", fmt, *words, image]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as machine:
        assert machine.stdin is not None
        assert machine.stdout is not None
        machine.stdin.write(b"length\n")
        machine.stdin.flush()
        machine.stdout.readline()  # it has opened the image
        try:
            yield
        finally:
            machine.stdin.close()
            machine.wait(10)


@pytest.mark.parametrize("fmt", ["raw", "qcow2"])
def test_an_image_that_a_machine_uses(tmp_path: Path, fmt: str) -> None:
    image = tmp_path / "disk"
    subprocess.run(["qemu-img", "create", "-q", "-f", fmt, image, "16M"], check=True)
    with opened(image, fmt), pytest.raises(HostError, match="in use"):
        locked(image)
    locked(image)


@pytest.mark.parametrize("fmt", ["raw", "qcow2"])
def test_an_image_under_the_overlay_of_a_machine_is_not_overwritten(tmp_path: Path, fmt: str) -> None:
    image, overlay = tmp_path / "disk", tmp_path / "overlay"
    subprocess.run(["qemu-img", "create", "-q", "-f", fmt, image, "16M"], check=True)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", fmt, "-b", image, overlay], check=True)
    with opened(overlay, "qcow2"):
        with pytest.raises(HostError, match="in use"):
            scrub(recognised([image]), CALLS, accel="tcg", way="in-place")
        locked(image)


def test_too_little_space_is_reported_before_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = tmp_path / "disk.raw"
    image.write_bytes(b"\0" * (1 << 20))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(0, 0, 1 << 20))
    with pytest.raises(HostError, match="1 MiB free"):
        scrub(recognised([image]), CALLS, accel="tcg")
