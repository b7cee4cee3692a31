"""The initrd's archive, read back by cpio itself."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

from imagebuild.kernel import cpio


def _archive(*entries: cpio.CpioMember) -> bytes:
    out = io.BytesIO()
    cpio.write(entries, out)
    return out.getvalue()


def _unpack(archive: bytes, into: Path) -> None:
    subprocess.run(["cpio", "--extract", "--quiet", "--no-absolute-filenames"], input=archive, cwd=into, check=True)


def test_cpio_reads_it(tmp_path: Path) -> None:
    _unpack(
        _archive(
            cpio.file("bin/busybox", b"ELF", executable=True),
            cpio.symlink("bin/sh", "busybox"),
            cpio.directory("proc"),
            cpio.file("etc/deep/er/name", "ü".encode()),
        ),
        tmp_path,
    )
    assert (tmp_path / "bin/busybox").read_bytes() == b"ELF"
    assert (tmp_path / "bin/busybox").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "bin/sh").readlink() == Path("busybox")
    assert (tmp_path / "proc").is_dir()
    assert (tmp_path / "etc/deep/er/name").read_bytes() == "ü".encode()


def test_folders_appear_once_and_before_their_content() -> None:
    listing = subprocess.run(
        ["cpio", "--list", "--quiet"],
        input=_archive(cpio.file("a/b/c", b""), cpio.directory("a"), cpio.file("a/b/d", b"")),
        capture_output=True,
        check=True,
    )
    assert listing.stdout.split() == [b"a", b"a/b", b"a/b/c", b"a/b/d"]


def test_the_same_entries_produce_the_same_bytes() -> None:
    entries = [cpio.file("init", b"#!/bin/sh\n", executable=True)]
    assert _archive(*entries) == _archive(*entries)


def test_a_second_archive_can_follow(tmp_path: Path) -> None:
    first = _archive(cpio.file("one", b"1"))
    assert len(first) % 512 == 0
    second = _archive(cpio.file("two", b"22"))
    _unpack(second, tmp_path)
    assert (tmp_path / "two").read_bytes() == b"22"


def test_a_device_node_is_described() -> None:
    listing = subprocess.run(
        ["cpio", "--list", "--verbose", "--quiet"],
        input=_archive(cpio.character_device("dev/console", 5, 1)),
        capture_output=True,
        check=True,
    )
    line = listing.stdout.decode().splitlines()[1]
    assert line.startswith("crw-------")
    assert "5,   1" in line
