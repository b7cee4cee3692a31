"""Unpacking a root archive with the real tar."""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import subprocess
from pathlib import Path

import pytest

from imagebuild.kickstrap.agent import payload, zstd
from imagebuild.kickstrap.agent.errors import InstallError
from imagebuild.kickstrap.agent.packages import mmdebstrap_command
from imagebuild.kickstrap.agent.plan import Liveimg, Packages
from imagebuild.kickstrap.agent.sources import AptSource

ROOM = 1 << 30


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "hostname").write_text("somewhere\n")
    (root / "big").write_bytes(os.urandom(3 << 20))
    (root / "tool").write_text("#!/bin/sh\n")
    (root / "tool").chmod(0o4755)
    (root / "link").symlink_to("/etc/hostname")
    os.setxattr(root / "tool", "user.kept", b"yes")
    return root


def archive(tree: Path, *options: str) -> Path:
    path = tree.parent / "payload"
    command = ["tar", "--create", "--xattrs", "--xattrs-include=*", "--file", path, *options, "-C", tree, "."]
    subprocess.run(command, check=True)
    return path


def padded(path: Path) -> str:
    """Pad to 512 bytes like a disk; the digest is that of the padded bytes."""
    data = path.read_bytes()
    data += bytes(-len(data) % 512)
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def unpack(path: Path, sha256: str, root: Path, room: int = ROOM) -> tuple[list[str], list[float]]:
    root.mkdir(exist_ok=True)
    logged: list[str] = []
    fractions: list[float] = []
    payload.unpack(Liveimg(str(path), sha256), root, room=room, log=logged.append, progress=fractions.append)
    return logged, fractions


@pytest.mark.parametrize("options", [(), ("--zstd",)])
def test_unpacks_with_modes_links_and_attributes(tree: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    path = archive(tree, *options)
    unpack(path, padded(path), tmp_path / "root")
    root = tmp_path / "root"
    assert (root / "big").read_bytes() == (tree / "big").read_bytes()
    assert (root / "etc/hostname").read_text() == "somewhere\n"
    assert stat.S_IMODE((root / "tool").stat().st_mode) == 0o4755
    assert str((root / "link").readlink()) == "/etc/hostname"
    assert os.getxattr(root / "tool", "user.kept") == b"yes"


def test_another_checksum_is_an_error(tree: Path, tmp_path: Path) -> None:
    path = archive(tree)
    digest = padded(path)
    with pytest.raises(InstallError, match=f"digest is {digest}, but the kickstart says 0000"):
        unpack(path, "0" * 64, tmp_path / "root")


def test_a_checksum_that_the_host_has_computed_is_not_computed_again(tree: Path, tmp_path: Path) -> None:
    path = archive(tree)
    for computed, digest in (("0" * 64, "0" * 64), ("1" * 64, padded(path))):
        (tmp_path / computed).mkdir()
        liveimg = Liveimg(str(path), digest)
        payload.unpack(
            liveimg, tmp_path / computed, room=ROOM, log=lambda _: None, progress=lambda _: None, computed=computed
        )
    with pytest.raises(InstallError, match="but the kickstart says 0000"):
        payload.unpack(
            Liveimg(str(path), "0" * 64),
            tmp_path / ("0" * 64),
            room=ROOM,
            log=lambda _: None,
            progress=lambda _: None,
            computed="1" * 64,
        )


def test_acls_of_the_hosts_own_archive_are_kept(tree: Path, tmp_path: Path) -> None:
    """As mmdebstrap stores them: extended attributes. Here: user 0 may do everything too."""
    entries = ((1, 7, ~0), (2, 7, 0), (4, 5, ~0), (16, 7, ~0), (32, 5, ~0))
    acl = struct.pack("<I", 2) + b"".join(
        struct.pack("<HHI", tag, mode, who & 0xFFFFFFFF) for tag, mode, who in entries
    )
    os.setxattr(tree / "etc", "system.posix_acl_default", acl)
    path = archive(tree, "--xattrs", "--xattrs-include=*")
    digest = padded(path)
    root = tmp_path / "root"
    root.mkdir()
    payload.unpack(
        Liveimg(str(path), digest), root, room=ROOM, log=lambda _: None, progress=lambda _: None, computed=digest
    )
    assert os.getxattr(root / "etc", "system.posix_acl_default") == acl


def test_without_a_checksum_none_is_computed(tree: Path, tmp_path: Path) -> None:
    unpack(archive(tree), "", tmp_path / "root")
    assert (tmp_path / "root" / "big").exists()


def test_lack_of_space_is_reported_before_anything_is_unpacked(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(InstallError, match=r"does not fit: it has 3 MiB, but the file systems have 1 MiB free"):
        unpack(archive(tree), "", tmp_path / "root", room=1 << 20)
    assert list((tmp_path / "root").iterdir()) == []


def test_a_damaged_archive_is_an_error_also_without_a_checksum(tree: Path, tmp_path: Path) -> None:
    path = archive(tree)
    path.write_bytes(path.read_bytes()[: 2 << 20])
    with pytest.raises(InstallError, match="cannot unpack the payload: tar ended with exit status 2"):
        unpack(path, "", tmp_path / "root")


def test_something_else_is_not_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "payload"
    path.write_bytes(b"squashfs?" * 200)
    with pytest.raises(InstallError, match="neither a tar archive nor one compressed with zstd"):
        unpack(path, "", tmp_path / "root")


def test_a_missing_payload(tmp_path: Path) -> None:
    with pytest.raises(InstallError, match=r"cannot read the payload .*: No such file"):
        unpack(tmp_path / "nothing", "", tmp_path / "root")


@pytest.mark.parametrize("level", ["-1", "-9"])
@pytest.mark.parametrize("size", [0, 1, 511, 100_000, 3_000_000])
def test_the_end_of_a_zstd_stream_is_found(tmp_path: Path, size: int, level: str) -> None:
    plain = os.urandom(size // 2) + bytes(size - size // 2)
    frame = subprocess.run(["zstd", level, "-c"], input=plain, capture_output=True, check=True).stdout
    skippable = b"\x50\x2a\x4d\x18\x04\0\0\0text"
    for stream in (frame, frame + frame, skippable + frame):
        data = stream + bytes(300)
        assert zstd.length(lambda count, offset, data=data: data[offset : offset + count]) == len(stream)


def test_a_cut_off_zstd_stream_is_an_error(tree: Path, tmp_path: Path) -> None:
    path = archive(tree, "--zstd")
    path.write_bytes(path.read_bytes()[: 1 << 20])
    with pytest.raises(InstallError, match="zstd stream is cut off"):
        unpack(path, "", tmp_path / "root")


def test_a_damaged_zstd_stream_is_an_error(tree: Path, tmp_path: Path) -> None:
    path = archive(tree, "--zstd")
    data = bytearray(path.read_bytes())
    data[2_000_000] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(InstallError, match=r"damaged|cannot be unpacked"):
        unpack(path, "", tmp_path / "root")


def test_the_mmdebstrap_command() -> None:
    wanted = Packages(
        (AptSource("http://mirror.example/debian", "trixie", ("main", "contrib")),
         AptSource("http://mirror.example/debian", "trixie-updates")),
        ("grub-pc", "vim"), ("nano",), core=False, weak_dependencies=False,
    )  # fmt: skip
    command = mmdebstrap_command(wanted, "/mnt/sysimage")
    assert command[-4:] == [
        "trixie",
        "/mnt/sysimage",
        "deb http://mirror.example/debian trixie main contrib",
        "deb http://mirror.example/debian trixie-updates main",
    ]
    assert "--variant=required" in command
    assert "--include=grub-pc,vim,nano-" in command
    assert '--aptopt=APT::Install-Recommends "false"' in command
    whole = mmdebstrap_command(wanted._replace(core=True, weak_dependencies=True), "/mnt/sysimage")
    assert "--variant=important" in whole
    assert '--aptopt=APT::Install-Recommends "true"' in whole
