"""The root file system that this host writes: it has all that the archive has, and nothing else."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tarfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from imagebuild.errors import HostError
from imagebuild.guest import launch
from imagebuild.kickstrap import e2fsprogs, prepared_root, runtime, squashfs
from imagebuild.kickstrap.agent import identity, prepared
from imagebuild.kickstrap.agent.kickstart import read
from imagebuild.kickstrap.agent.machine import TargetMachine
from imagebuild.kickstrap.squashfs import Parts
from tests.kickstrap.test_agent_prepared import ESP, PLAIN, kickstart

SEED = "cd" * 32
EPOCH = 1_795_542_072
MACHINE = TargetMachine((256,), existing=())
CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")
"""cap_net_raw=ep (linux: include/uapi/linux/capability.h)."""
ACL = bytes.fromhex("0200000001000700ffffffff04000500ffffffff080005000400000010000500ffffffff20000500ffffffff")
"""That of /var/log/journal: members of adm may read (linux: include/uapi/linux/posix_acl_xattr.h)."""
LONG = "a-folder-with-a-long-name-" * 5
Member = Callable[..., None]


def fill(add: Member) -> None:
    """A small root with one of everything."""
    for folder in ("", "boot", "boot/efi", "dev", "etc", "usr", "usr/bin", "usr/share", "var", "var/log", "many", LONG):
        add(folder, tarfile.DIRTYPE, mode=0o755)
    add("tmp", tarfile.DIRTYPE, mode=0o1777)
    pax = {f"SCHILY.xattr.system.posix_acl_{one}": ACL for one in ("access", "default")}
    add("var/log/journal", tarfile.DIRTYPE, mode=0o2755, gid=999, pax=pax)
    add("usr/bin/su", data=b"su" * 5000, mode=0o4755)
    add("usr/bin/ping", data=b"ping", mode=0o755, pax={"SCHILY.xattr.security.capability": CAPABILITY})
    add("usr/bin/again", tarfile.LNKTYPE, linkname="./usr/bin/su", mode=0o4755)
    add("usr/bin/sh", tarfile.SYMTYPE, linkname="su", mode=0o777)
    add("usr/share/far", tarfile.SYMTYPE, linkname="../" + "x" * 90, mode=0o777)
    add("etc/shadow", data=b"root:*:1\n", mode=0o640, gid=42)
    add("etc/empty", mode=0o600, uid=1000, gid=1000)
    add("etc/old", data=b"old", mtime=86400)
    add("etc/noted", data=b"x", pax={"SCHILY.xattr.user.note": b"a \0 value", "SCHILY.xattr.trusted.more": b"2"})
    add("etc/with space and ü", data=b"1")
    add(f"{LONG}/{LONG[:100]}", data=b"deep")
    add("usr/share/zeros", data=bytes(3 << 20) + b"end")
    add("usr/share/large", data=bytes(range(256)) * 8000)
    add("dev/null", tarfile.CHRTYPE, mode=0o666, device=(1, 3))
    add("dev/sda", tarfile.BLKTYPE, mode=0o660, gid=6, device=(8, 0))
    add("dev/initctl", tarfile.FIFOTYPE, mode=0o600)
    for number in range(2000):
        add(f"many/a-file-of-a-large-folder-{number}", data=b"%d" % number)


def archive(path: Path, filled: Callable[[Member], None] = fill) -> Path:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT, errors="surrogateescape") as out:

        def add(
            name: str,
            kind: bytes = tarfile.REGTYPE,
            data: bytes = b"",
            *,
            pax: dict[str, bytes] | None = None,
            device: tuple[int, int] = (0, 0),
            mtime: int = EPOCH - 1000,
            **fields: object,
        ) -> None:
            member = tarfile.TarInfo(f"./{name}" if name else "./")
            member.type, member.size, member.mtime = kind, len(data), mtime
            member.devmajor, member.devminor = device
            # tarfile has text there, and writes these characters as the bytes that they stand for
            member.pax_headers = {key: value.decode("utf-8", "surrogateescape") for key, value in (pax or {}).items()}
            for key, value in fields.items():
                setattr(member, key, value)
            out.addfile(member, io.BytesIO(data))

        filled(add)
    return path


def unpacked(suite: str, folder: Path) -> Path:
    """mke2fs and the others of a suite, as a runtime has them."""
    argv = ["mmdebstrap", "--quiet", "--variant=extract", "--include=e2fsprogs,libarchive13", "--format=tar", suite]
    subprocess.run([*argv, folder / "root.tar"], check=True, capture_output=True)
    parts = Parts()
    with tarfile.open(folder / "root.tar") as root:
        for member in root:
            path = member.name.removeprefix("./")
            path = path if path.startswith(("etc/", "usr/")) else f"usr/{path}"
            if squashfs.is_kept(path) and member.issym():
                parts.links[path] = member.linkname
            elif squashfs.is_kept(path) and (content := root.extractfile(member)):
                parts.files[path] = content.read()
    e2fsprogs.unpack(parts, folder / "programs")
    return folder / "programs"


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked("trixie", tmp_path_factory.mktemp("e2fsprogs"))


@pytest.mark.seconds
def test_the_mke2fs_of_debian_12_reads_no_archives(tmp_path: Path) -> None:
    tools = e2fsprogs.E2fsprogs(unpacked("bookworm", tmp_path))
    assert "mke2fs 1.47.0" in tools.run(["mkfs.ext4", "-V"])
    assert not tools.reads_archives()


def written(
    folder: Path, programs: Path, source: Path, text: str | None = None, machine: TargetMachine = MACHINE
) -> tuple[tuple[str, ...], Path]:
    """What the kernel is told, and the disk."""
    disk = folder / "disk.raw"
    disk.touch(mode=0o600)
    os.truncate(disk, machine.disks[0] << 20)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    arguments = runtime.identity_arguments(SEED, EPOCH, digest)
    handler = read(kickstart(archive=digest) if text is None else text.replace("ab" * 32, digest))
    return prepared_root.write(handler, [disk], arguments, programs=programs, archive=source, machine=machine), disk


def described(path: Path) -> dict[str, tuple[object, ...]]:
    """What an archive has, hard links as the files that they are, by path."""
    found: dict[str, tuple[object, ...]] = {}
    names: dict[str, set[str]] = defaultdict(set)
    with tarfile.open(path, errors="surrogateescape") as root:
        for member in root:
            name = "/" + member.name.removeprefix("./").rstrip("/")
            name = "/" if name == "/." else name
            first = "/" + member.linkname.removeprefix("./") if member.islnk() else name
            names[first].add(name)
            if member.islnk():
                found[name] = found[first]
                continue
            content = root.extractfile(member) if member.isreg() else None
            digest = hashlib.sha256(content.read()).hexdigest() if content else ""
            link = member.linkname if member.issym() else ""
            device = (member.devmajor, member.devminor) if member.isdev() else ()
            owner = (member.uid, member.gid)
            found[name] = (member.type, oct(member.mode), *owner, int(member.mtime), digest, link, device)
    linked = {one: frozenset(group) for group in names.values() for one in group if len(group) > 1}
    return {name: (*value, linked.get(name)) for name, value in found.items()}


@pytest.fixture(scope="module")
def disk(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The archive, and the disk that was made from it."""
    folder = tmp_path_factory.mktemp("prepared")
    source = archive(folder / "root.tar")
    told, made = written(folder, programs, source)
    assert len(told) == 1
    return source, made


@pytest.mark.guestfs
def test_every_file_is_that_of_the_archive(disk: tuple[Path, Path], tmp_path: Path) -> None:
    source, made = disk
    partition = tmp_path / "root.raw"
    with made.open("rb") as file, partition.open("wb") as out:
        file.seek(1 << 20)
        out.write(file.read())
    with launch.started([partition], "raw", accel="tcg", tmpdir=tmp_path) as session:
        g = session.g
        g.mount_ro("/dev/sda", "/")
        g.tar_out("/", str(tmp_path / "out.tar"), numericowner=True)
        wanted, found = described(source), described(tmp_path / "out.tar")
        assert found.pop("/lost+found")[1] == "0o700"
        assert found == wanted
        attributes = {
            path: {one["attrname"]: bytes(one["attrval"]) for one in g.lgetxattrs(path)}
            for path in wanted
            if not path.startswith("/many/")
        }
        times = g.lstatns("/usr/bin/su")
    assert {path: named for path, named in attributes.items() if named} == {
        "/var/log/journal": {"system.posix_acl_access": ACL, "system.posix_acl_default": ACL},
        "/usr/bin/ping": {"security.capability": CAPABILITY},
        "/etc/noted": {"user.note": b"a \0 value", "trusted.more": b"2"},
    }
    assert (times["st_ctime_sec"], times["st_atime_sec"]) == (EPOCH, EPOCH)


@pytest.mark.seconds
def test_nothing_is_wrong_with_it(disk: tuple[Path, Path], programs: Path) -> None:
    _, made = disk
    tools = e2fsprogs.E2fsprogs(programs)
    tools.run(["e2fsck", "-f", "-n", f"{made}?offset={1 << 20}"])
    assert "Root node dump" in tools.run(["debugfs", "-R", "htree /many", f"{made}?offset={1 << 20}"])
    assert (made.stat().st_mode & 0o777, made.stat().st_size) == (0o600, 256 << 20)
    assert made.read_bytes()[: 1 << 20] == bytes(1 << 20)


@pytest.mark.seconds
def test_the_installer_finds_it(disk: tuple[Path, Path], programs: Path, tmp_path: Path) -> None:
    source, made = disk
    told, again = written(tmp_path, programs, source)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    given = identity.given(" ".join((*runtime.identity_arguments(SEED, EPOCH, digest), *told)))
    assert given.prepared
    found = prepared_root._wanted(read(kickstart(archive=digest)), MACHINE, given)
    assert found is not None
    version = e2fsprogs.E2fsprogs(programs).run(["mkfs.ext4", "-V"])
    assert prepared.digest(found, given, version) == given.prepared
    assert prepared.is_on(str(made), found, given)
    assert made.read_bytes() == again.read_bytes()


@pytest.mark.seconds
@pytest.mark.parametrize(
    ("text", "filled"),
    [
        (kickstart("part / --size=64 --grow --fstype=ext3\n"), fill),
        (kickstart(more="%pre\ntrue\n%end\n"), fill),
        (kickstart("part / --size=4\n"), fill),
        (kickstart(), lambda add: (fill(add), add('etc/a"b', pax={"SCHILY.xattr.user.x": b"1"}))),
        (kickstart(), lambda add: (fill(add), add("etc/contiguous", tarfile.CONTTYPE))),
    ],
    ids=["ext3", "%pre", "too small", "name", "kind"],
)
def test_the_disk_is_empty_if_it_cannot_be(
    text: str, filled: Callable[[Member], None], programs: Path, tmp_path: Path
) -> None:
    told, disk = written(tmp_path, programs, archive(tmp_path / "root.tar", filled), text)
    assert told == ()
    assert disk.stat().st_blocks == 0
    assert disk.stat().st_size == 256 << 20


@pytest.mark.seconds
@pytest.mark.parametrize("inside", [False, True])
def test_the_system_partition_of_uefi_must_be_empty_in_the_archive(
    inside: bool, programs: Path, tmp_path: Path
) -> None:
    def filled(add: Member) -> None:
        fill(add)
        if inside:
            add("boot/efi/EFI", tarfile.DIRTYPE)

    machine = MACHINE._replace(firmware="uefi")
    told, _ = written(tmp_path, programs, archive(tmp_path / "root.tar", filled), kickstart(f"{ESP}{PLAIN}"), machine)
    assert bool(told) == (not inside)


def fake(folder: Path, program: str) -> Path:
    """Programs of which each one does the same."""
    folder.mkdir()
    (folder / "ld-linux-x86-64.so.2").write_text(f"#!/bin/sh\nshift 2\n{program}\n")
    (folder / "ld-linux-x86-64.so.2").chmod(0o755)
    return folder


@pytest.mark.parametrize("name", ["mkfs.ext4", "debugfs", "e2fsck"])
def test_a_full_disk_is_named(tmp_path: Path, name: str) -> None:
    program = f'case "$*" in *one.tar*|*-V) ;; */{name}*) echo "{name}: No space left on device"; exit 8 ;; esac'
    programs = fake(tmp_path / "programs", program)
    with pytest.raises(HostError, match=r"no space left \(.*disk\.raw\)"):
        written(tmp_path, programs, archive(tmp_path / "root.tar"))


@pytest.mark.parametrize("program", ["exit 1", 'echo "you need libarchive to be able to process tarballs"; exit 1'])
def test_an_mke2fs_that_reads_no_archives_is_not_used(tmp_path: Path, program: str) -> None:
    told, disk = written(tmp_path, fake(tmp_path / "programs", program), archive(tmp_path / "root.tar"))
    assert told == ()
    assert disk.stat().st_blocks == 0


def test_a_runtime_without_the_programs_is_not_used(tmp_path: Path) -> None:
    e2fsprogs.unpack(Parts({"usr/sbin/mke2fs": b""}), tmp_path / "programs")
    assert written(tmp_path, tmp_path / "programs", archive(tmp_path / "root.tar"))[0] == ()


def test_what_debugfs_refuses_is_not_kept(tmp_path: Path) -> None:
    program = 'case "$1" in */debugfs) echo "debugfs: ea_set"; echo "ea_set: Permission denied" ;; esac'
    told, _ = written(tmp_path, fake(tmp_path / "programs", program), archive(tmp_path / "root.tar"))
    assert told == ()
