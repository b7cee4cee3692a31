"""The squashfs of the runtime, and the files that are read from the archive."""

from __future__ import annotations

import io
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from imagebuild.errors import CommandFailed
from imagebuild.kickstrap import squashfs

FOLDERS = (
    "", "boot", "dev", "etc", "usr", "usr/bin", "usr/lib", "usr/lib/modules", "usr/lib/modules/6.12-cloud",
    "usr/lib/modules/6.12-cloud/kernel", "usr/lib/modules/6.12-cloud/kernel/fs", "usr/lib/x86_64-linux-gnu",
    "usr/share", "usr/share/doc", "usr/share/doc/bash", "var", "var/lib", "var/lib/dpkg",
)  # fmt: skip


def _archive(path: Path) -> Path:
    with tarfile.open(path, "w") as out:

        def add(name: str, kind: bytes, data: bytes = b"", **fields: object) -> None:
            member = tarfile.TarInfo(name)
            member.type, member.size, member.mode, member.uid = kind, len(data), 0o755, 42
            for key, value in fields.items():
                setattr(member, key, value)
            out.addfile(member, io.BytesIO(data))

        # like mmdebstrap's archives, it lists every folder: sqfstar gives an added folder the current time
        for folder in FOLDERS:
            add(f"./{folder}", tarfile.DIRTYPE)
        add("./bin", tarfile.SYMTYPE, linkname="usr/bin")
        add("./boot/vmlinuz-6.12-cloud", tarfile.REGTYPE, b"kernel")
        add("./dev/null", tarfile.CHRTYPE, devmajor=1, devminor=3)
        add("./usr/bin/busybox", tarfile.REGTYPE, b"busybox")
        add("./usr/bin/python3.13", tarfile.REGTYPE, b"python")
        add("./usr/bin/python3", tarfile.SYMTYPE, linkname="python3.13")
        add("./usr/lib/modules/6.12-cloud/kernel/fs/a.ko.xz", tarfile.REGTYPE, b"module")
        add("./usr/lib/modules/6.12-cloud/modules.dep", tarfile.REGTYPE, b"kernel/fs/a.ko.xz:\n")
        add("./usr/lib/x86_64-linux-gnu/libz.so.1", tarfile.SYMTYPE, linkname="libz.so.1.3.1")
        add("./usr/lib/x86_64-linux-gnu/libz.so.1.3.1", tarfile.REGTYPE, b"zlib")
        add("./usr/share/doc/bash/copyright", tarfile.REGTYPE, b"long")
        add("./var/lib/dpkg/status", tarfile.REGTYPE, b"Package: bash\n")
        add("./etc/hard", tarfile.LNKTYPE, linkname="./usr/bin/busybox")
    return path


def _packed(archive: Path, into: Path) -> squashfs.Parts:
    with archive.open("rb") as stream:
        return squashfs.pack(stream, into, 1_700_000_000)


def _listing(image: Path) -> str:
    return subprocess.run(["unsquashfs", "-lln", image], capture_output=True, text=True, check=True).stdout


def test_the_image_has_what_the_installer_reads_and_no_more(tmp_path: Path) -> None:
    _packed(_archive(tmp_path / "root.tar"), tmp_path / "install.img")
    listing = _listing(tmp_path / "install.img")
    assert "squashfs-root/usr/bin/busybox" in listing
    assert "squashfs-root/var/lib/dpkg/status" in listing
    assert "vmlinuz" not in listing
    assert "copyright" not in listing


def test_devices_owners_and_links_are_kept_without_root_rights(tmp_path: Path) -> None:
    _packed(_archive(tmp_path / "root.tar"), tmp_path / "install.img")
    lines = {line.rpartition("squashfs-root")[2]: line for line in _listing(tmp_path / "install.img").splitlines()}
    assert lines[""].startswith("drwxr-xr-x 0/0")
    assert lines["/dev/null"].startswith("crwxr-xr-x 42/0")
    assert "1,  3" in lines["/dev/null"]
    assert any(path.startswith("/bin -> usr/bin") for path in lines)


def test_parts_are_read_while_packing(tmp_path: Path) -> None:
    parts = _packed(_archive(tmp_path / "root.tar"), tmp_path / "install.img")
    assert parts.files["boot/vmlinuz-6.12-cloud"] == b"kernel"
    assert parts.files["usr/bin/busybox"] == b"busybox"
    assert parts.matching(r"usr/bin/python3\.\d+$") == ["usr/bin/python3.13"]
    assert parts.matching("usr/lib/modules/") == [
        "usr/lib/modules/6.12-cloud/kernel/fs/a.ko.xz",
        "usr/lib/modules/6.12-cloud/modules.dep",
    ]
    assert parts.read("usr/lib/x86_64-linux-gnu/libz.so.1") == b"zlib"
    assert "usr/share/doc/bash/copyright" not in parts.files


@pytest.mark.seconds
def test_the_same_archive_produces_the_same_image(tmp_path: Path) -> None:
    archive = _archive(tmp_path / "root.tar")
    _packed(archive, tmp_path / "one.img")
    time.sleep(1.1)  # another second: the image contains no current time
    _packed(archive, tmp_path / "two.img")
    assert (tmp_path / "one.img").read_bytes() == (tmp_path / "two.img").read_bytes()


def test_a_failure_of_sqfstar_is_reported(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="sqfstar ended with exit status"):
        _packed(_archive(tmp_path / "root.tar"), tmp_path / "missing" / "install.img")
