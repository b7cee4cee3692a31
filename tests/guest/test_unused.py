"""Removed data is in none of a disk's bytes: markers of every kind on every kind of file system,
searched for in the raw files."""

from __future__ import annotations

import io
import mmap
import re
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imagebuild.errors import GuestError
from imagebuild.guest import launch
from imagebuild.guest.session import Session
from imagebuild.guest.shell import Shell
from imagebuild.guest.unused import ext, lvm, partitions, wipe, xfs

MIB = 1 << 20
FILE_SYSTEMS: dict[str, tuple[str, dict[str, int], int]] = {
    "ext2": ("ext2", {}, 64),
    "ext3": ("ext3", {"blocksize": 1024}, 64),
    "ext4-1k": ("ext4", {"blocksize": 1024}, 96),
    "ext4-4k": ("ext4", {"blocksize": 4096}, 128),
    "xfs": ("xfs", {}, 320),
    "btrfs": ("btrfs", {}, 256),
    "vfat": ("vfat", {}, 64),
}
_KEPT = {f"d/k{n}": f"STAYS-{n}\n" for n in range(40)}


_MANY = 700
"""Symbolic links with consecutive inodes, more than are read of an inode table."""


def _archive(*, posix: bool) -> bytes:
    """Files that stay and files that are removed, mixed, with everything that a POSIX file system
    stores besides content."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:

        def add(name: str, content: str = "", link: str = "", attribute: str = "") -> None:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            if link:
                member.type, member.linkname = tarfile.SYMTYPE, link
            if attribute:
                member.pax_headers = {"SCHILY.xattr.user.a": attribute}
            archive.addfile(member, io.BytesIO(content.encode()))

        for number in range(40):
            add(f"d/k{number}", _KEPT[f"d/k{number}"])
            add(f"d/s{number}", f"GONE-small-{number}")
            add(f"d/GONE-name-{number}")
        for number in range(3):
            add(f"d/b{number}", "".join(f"GONE-large-{number}-{line}\n" for line in range(3000)))
        for number in range(20) if posix else ():
            add(f"d/l{number}", link=f"/GONE-link-{number}")
            add(f"d/m{number}", link=f"/GONE-link-{number}/{'x' * 90}")
            add(f"d/x{number}", attribute=f"GONE-attribute-{number}")
        for number in range(_MANY) if posix else ():
            add(f"d/many/{number}", link=f"/GONE-row-{number}")
        if posix:
            add("d/e/GONE-name-inside")
    return buffer.getvalue()


_REMOVE = "cd /sysroot/d && rm -rf s* b* l* m* GONE* x* e many"
_GONE = re.compile(rb"GONE-[a-z]+|G\0O\0N\0E\0-\0")
"""FAT stores names in UTF-16, at most five consecutive characters."""


def markers(image: Path) -> Counter[bytes]:
    """How often each kind of marker occurs in the bytes of a file."""
    with image.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return Counter(found[0] for found in _GONE.finditer(data))


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Session, dict[str, Path]]]:
    folder = tmp_path_factory.mktemp("unused")
    sizes = {name: size for name, (_, _, size) in FILE_SYSTEMS.items()} | {"parts": 64, "lvm": 96}
    images = {name: folder / f"{name}.raw" for name in sizes}
    for name, image in images.items():
        with image.open("wb") as file:
            file.truncate(sizes[name] * MIB)
    with launch.started(list(images.values()), "raw", accel="tcg", tmpdir=folder) as session:
        yield session, images


@pytest.mark.guestfs
@pytest.mark.parametrize(
    ("name", "punches"), [*((name, True) for name in FILE_SYSTEMS), ("ext4-1k", False), ("vfat", False)]
)
def test_a_file_system(name: str, punches: bool, disks: tuple[Session, dict[str, Path]]) -> None:
    session, images = disks
    g, disk, image = session.g, f"/dev/sd{'abcdefghi'[list(images).index(name)]}", images[name]
    fstype, options, _ = FILE_SYSTEMS[name]
    g.mkfs(fstype, disk, **options)
    g.mount(disk, "/")
    archive = image.with_suffix(".tar")
    archive.write_bytes(_archive(posix=fstype != "vfat"))
    g.tar_in(str(archive), "/", xattrs=fstype != "vfat")
    archive.unlink()
    g.umount_all()
    g.mount(disk, "/")
    Shell(g).line(_REMOVE)
    g.sync()
    assert markers(image), "a file system that clears released blocks would make this test meaningless"
    assert wipe(g, list(images.values()), {"/": disk}, {disk: fstype}, [], punches=punches) == []
    g.sync()
    left = markers(image)
    if fstype == "xfs":
        del left[b"GONE-name"]  # names of removed files remain in folders that stay
    assert not left
    _still_good(g, disk, fstype)


def _still_good(g: Any, disk: str, fstype: str) -> None:
    """The file system contains its files, and its own checker finds nothing to fix."""
    checks = {"vfat": "fsck.vfat -n", "xfs": "xfs_repair -n", "btrfs": "btrfs check"}
    name = Shell(g).device(disk)
    Shell(g).line(f"{checks.get(fstype, 'e2fsck -fn')} {name} 2>&1")
    g.mount(disk, "/")
    assert {f"d/{name}" for name in g.ls("/d")} == set(_KEPT)
    assert g.cat("/d/k7") == _KEPT["d/k7"]
    g.write("/d/new", b"new")
    g.umount_all()


@pytest.mark.guestfs
def test_between_partitions_and_in_swap(disks: tuple[Session, dict[str, Path]]) -> None:
    session, images = disks
    g, disk, image = session.g, f"/dev/sd{'abcdefghi'[list(images).index('parts')]}", images["parts"]
    shell = Shell(g)
    name = shell.device(disk)
    shell.line(
        f"printf 'label: gpt\\nstart=2048,size=20480\\nstart=30720,size=40960\\n' | flock {name} sfdisk {name} "
        "2>&1; udevadm settle",
    )
    g.mkfs("ext4", f"{disk}1")
    g.mkswap(f"{disk}2", label="pages", uuid="11111111-2222-4333-8444-555555555555")
    for at in (12 * MIB, 36 * MIB, 20 * MIB):  # in the gap, after the last one, in the swap area
        g.pwrite_device(disk, b"GONE-bytes" * 1000, at)
    g.pwrite_device(f"{disk}1", b"STAYS-loader", 512 - 12)
    g.mount(f"{disk}1", "/")
    g.fallocate64("/swapfile", 2 * MIB)
    g.mkswap_file("/swapfile")
    g.pwrite("/swapfile", b"GONE-pages" * 1000, MIB)
    g.write("/etc-fstab", b"")
    g.sync()
    assert markers(image) == {b"GONE-bytes": 3000, b"GONE-pages": 1000}
    wipe(
        g,
        list(images.values()),
        {"/": f"{disk}1"},
        {f"{disk}1": "ext4", f"{disk}2": "swap"},
        ["/swapfile"],
        punches=True,
    )
    g.sync()
    assert not markers(image)
    assert image.stat().st_blocks * 512 < 20 * MIB, "zeros occupy no space"
    # closing the disk makes udev read its partitions again
    assert shell.line(f"sgdisk -v {name}; udevadm settle").count("No problems found") == 1
    assert (g.vfs_type(f"{disk}2"), g.vfs_label(f"{disk}2")) == ("swap", "pages")
    g.swapon_device(f"{disk}2")
    g.swapoff_device(f"{disk}2")
    g.mount(f"{disk}1", "/")
    g.swapon_file("/swapfile")
    g.swapoff_file("/swapfile")
    g.umount_all()


@pytest.mark.guestfs
def test_free_extents(disks: tuple[Session, dict[str, Path]]) -> None:
    session, images = disks
    g, disk, image = session.g, f"/dev/sd{'abcdefghi'[list(images).index('lvm')]}", images["lvm"]
    g.pvcreate(disk)
    g.vgcreate("system", [disk])
    for volume in ("root", "gone", "home"):
        g.lvcreate(volume, "system", 16)
        g.mkfs("ext4", f"/dev/system/{volume}")
    g.pwrite_device("/dev/system/gone", b"GONE-bytes" * 1000, 8 * MIB)
    g.pwrite_device("/dev/system/home", b"STAYS", 1024 - 5)
    g.lvremove("/dev/system/gone")
    g.sync()
    assert markers(image) == {b"GONE-bytes": 1000}
    g.mount("/dev/system/root", "/")
    wipe(
        g,
        list(images.values()),
        {"/": "/dev/system/root"},
        {disk: "LVM2_member", "/dev/system/root": "ext4"},
        [],
        punches=True,
    )
    g.sync()
    assert not markers(image)
    assert g.pread_device("/dev/system/home", 5, 1024 - 5) == b"STAYS"
    g.vg_activate_all(activate=False)


def test_gaps_from_the_first_partition_on() -> None:
    parts = [(1 * MIB, 10 * MIB), (12 * MIB, 20 * MIB), (13 * MIB, 15 * MIB), (20 * MIB, 30 * MIB)]
    assert partitions.gaps(parts, 32 * MIB, 512) == [(10 * MIB, 2 * MIB), (30 * MIB, 2 * MIB)]
    assert partitions.gaps([(MIB, 32 * MIB)], 32 * MIB, 512) == []


def test_a_gpt_of_a_disk_that_was_smaller() -> None:
    header = (
        b"EFI PART".ljust(32, b"\0")
        + (99).to_bytes(8, "little")
        + (34).to_bytes(8, "little")
        + (66).to_bytes(8, "little")
    )
    assert partitions.backup_table(header.ljust(92, b"\0"), 512) == (67 * 512, 100 * 512)
    assert partitions.backup_table(bytes(92), 512) is None
    assert partitions.backup_table(b"EFI PART".ljust(92, b"\xff"), 512) is None


def test_a_journal_whose_blocks_are_listed_one_by_one() -> None:
    stat = "BLOCKS:\n(0-11):787-798, (IND):799, (12):800, (DIND):1056, (13-14[u]):1058-1059\nTOTAL: 9\n"
    assert ext.journal_blocks(stat) == [(788, 11), (800, 1), (1058, 2)]


def test_groups_with_and_without_checksums() -> None:
    head = (
        "Block size:               1024\nInode size:\t          256\nInodes per group:         64\n"
        "Filesystem features:      has_journal\n"
    )
    group = (
        "Group 1: (Blocks 8193-16383) csum 0x1 [ITABLE_ZEROED]\n  Inode table at 9000-9015 (+1)\n  1 free "
        "blocks, 3 free inodes, 1 directories, 2 unused inodes\n  Free inodes: 70, 127-128\n"
    )
    found = ext.parsed(f"{head}\n\n{group}")
    assert (found.block, found.inode, found.features) == (1024, 256, {"has_journal"})
    assert found.groups == (ext.InodeTable(65, 9000, ((70, 70), (127, 128)), 2, zeroed=True),)
    old = ext.parsed(
        f"{head}\nGroup 0: (Blocks 1-8192)\n  Inode table at 9-24 (+1)\n  1 free blocks, 0 free inodes, 1 "
        "directories\n  Free inodes: \n"
    )
    assert old.groups == (ext.InodeTable(1, 9, (), 0, zeroed=True),)
    with pytest.raises(GuestError, match="dumpe2fs"):
        ext.parsed("dumpe2fs: Bad magic number\n")


def test_many_free_inodes_in_a_row_are_not_read() -> None:
    inode, block = 256, 1024
    free = ((3, 4), (100, 1000), (1023, 1024), (1100, 2048))
    group = ext.InodeTable(1, 50, free, unused=1024, zeroed=True)
    layout = ext.Layout(block, inode, 2048, frozenset(), external_journal=False, groups=(group,))
    much, rest = ext._freed(layout, group)
    assert much == [(25 * block, 250 * block)]  # inodes 101 to 1000: whole blocks of 4
    assert rest == [(0, 25 * block), (250 * block, 256 * block)]
    for begin, end in rest:
        pieces = list(ext._emptied_inodes(layout, group, begin, b"x" * (end - begin)))
        at, content = pieces[0]
        kept = {2: b"x", 3: b"\0", 4: b"\0", 5: b"x", 100: b"\0", 1001: b"x", 1022: b"x", 1023: b"\0", 1024: b"\0"}
        for number, byte in kept.items():
            where = 50 * block + (number - 1) * inode - at
            if 0 <= where < len(content):
                assert content[where : where + inode] == byte * inode, number


def test_free_inodes_of_sparse_and_of_whole_chunks() -> None:
    dump = "recs[1-2] = [startino,holemask,count,freecount,free]\n1:[128,0xff00,32,33,0xffffffff80000001]\n"
    assert xfs.free_inodes(dump) == [128, 159]
    assert xfs.free_inodes("recs[1] = [startino,freecount,free]\n1:[64,2,0x8000000000000002]\n") == [65, 127]


def test_checksum_of_an_inode_that_was_emptied() -> None:
    inode = bytearray(b"IN\0\0\x03".ljust(176, b"\1") + b"/GONE-link".ljust(336, b"\0"))
    new = xfs.emptied(bytes(inode))
    assert b"GONE" not in new
    assert new[:100] == bytes(inode[:100])
    assert int.from_bytes(new[100:104], "little") == xfs.crc32c(new[:100] + bytes(4) + new[104:])
    assert xfs.crc32c(b"123456789") == 0xE3069283  # the check value of CRC-32C in RFC 3720's catalogue of polynomials
    in_use = b"IN\x81\xa4\x03".ljust(512, b"\1")
    assert xfs.emptied(in_use) == in_use


def test_free_extents_of_several_volumes() -> None:
    row = (
        '{{"pv_name":"{0}", "pe_start":"1048576", "vg_extent_size":"4194304", "pvseg_start":"{1}", '
        '"pvseg_size":"2", "segtype":"{2}"}}'
    )
    rows = ",".join(row.format(*one) for one in (("/dev/a", 0, "linear"), ("/dev/a", 2, "free"), ("/dev/b", 5, "free")))
    found = lvm.free_extents(f'{{"report": [{{"pvseg": [{rows}]}}]}}')
    assert found == {"/dev/a": [(1048576 + 8388608, 8388608)], "/dev/b": [(1048576 + 5 * 4194304, 8388608)]}


def test_holes_need_no_zeros(tmp_path: Path) -> None:
    image = tmp_path / "disk.raw"
    with image.open("wb") as file:
        file.truncate(8 * MIB)
        file.seek(4 * MIB)
        file.write(b"x")
    assert partitions.is_hole(image, 0, 4 * MIB)
    assert not partitions.is_hole(image, 2 * MIB, 3 * MIB)
    assert partitions.is_hole(image, 6 * MIB, 2 * MIB)
