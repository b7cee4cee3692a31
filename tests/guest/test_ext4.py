"""ext4 read without mounting it, compared with the folder that mke2fs filled it from and with dumpe2fs."""

from __future__ import annotations

import os
import random
import re
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from imagebuild.guest.ext4.superblock import UnsupportedExt4Error, superblock
from imagebuild.guest.ext4.tree import Ext4Tree
from imagebuild.guest.ext4.unused import emptied_tables, unused

MIB = 1 << 20
KINDS = {stat.S_IFREG: "f", stat.S_IFDIR: "d", stat.S_IFLNK: "l", stat.S_IFIFO: "p"}


def folder(place: Path) -> Path:
    """A folder with files of all kinds, and one with an index."""
    (place / "etc").mkdir(parents=True)
    (place / "etc" / "passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (place / "etc" / "shadow").write_text("root:!:1::::::\n")
    (place / "etc" / "shadow").chmod(0o640)
    (place / "empty").touch()
    (place / "program").write_bytes(random.Random(1).randbytes(3 * MIB + 5))
    (place / "program").chmod(0o4755)
    os.link(place / "program", place / "etc" / "name")
    with (place / "sparse").open("wb") as file:
        file.write(b"begin")
        file.truncate(5 * MIB)
        file.seek(2 * MIB)
        file.write(b"middle")
    (place / "short").symlink_to("etc/passwd")
    (place / "long").symlink_to("x" * 200)
    (place / os.fsdecode(b"b\xfftes\n")).write_text("x")
    os.mkfifo(place / "pipe")
    (place / "many").mkdir()
    for number in range(600):
        (place / "many" / f"a file with a long name and the number {number}").write_text(str(number))
    return place


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(tmp_path_factory.mktemp("source") / "root")


def made(image: Path, source: Path | None, *options: str, size: int = 64 * MIB) -> Path:
    with image.open("wb") as file:
        file.truncate(size)
    filled = ["-d", str(source)] if source else []
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", *filled, *options, image], check=True, capture_output=True)
    return image


def read(image: Path) -> Callable[[int, int], bytes]:
    content = image.read_bytes()
    return lambda at, length: content[at : at + length]


@pytest.mark.parametrize(
    "options", [("-b", "4096"), ("-b", "1024", "-I", "128"), ("-O", "^64bit,^metadata_csum,^flex_bg")]
)
def test_all_files_and_their_contents(tmp_path: Path, source: Path, options: tuple[str, ...]) -> None:
    image = made(tmp_path / "image", source, *options)
    subprocess.run(["e2fsck", "-fyD", image], check=False, capture_output=True)  # makes the index of the folder
    tree = Ext4Tree(read(image))
    found = {os.fsdecode(name): inode for name, inode in tree.walk()}
    paths = {str(path.relative_to(source)) for path in source.rglob("*")}
    assert found.keys() == paths | {"lost+found"}
    for name in paths:
        path, inode = source / name, found[name]
        status = path.lstat()
        assert inode.kind == KINDS[stat.S_IFMT(status.st_mode)]
        assert inode.mode == stat.S_IMODE(status.st_mode)
        assert (inode.uid, inode.gid) == (status.st_uid, status.st_gid)
        if inode.kind == "l":
            assert tree.target(inode) == os.fsencode(path.readlink())
        elif inode.kind == "f":
            assert inode.size == status.st_size
            assert b"".join(tree.content(inode)) == path.read_bytes()
    assert found["program"].number == found["etc/name"].number
    assert found["program"].links == 2


def free_blocks(image: Path) -> set[int]:
    """The free blocks as dumpe2fs lists them."""
    shown = subprocess.run(["dumpe2fs", image], check=True, capture_output=True, text=True).stdout
    runs = [
        run for line in re.findall(r"^  Free blocks: (.*)$", shown, re.MULTILINE) for run in line.split(", ") if run
    ]
    found: set[int] = set()
    for run in runs:
        first, _, last = run.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


@pytest.mark.parametrize("options", [("-b", "4096"), ("-b", "1024"), ("-b", "4096", "-O", "^flex_bg,^64bit")])
def test_what_is_not_in_use(tmp_path: Path, source: Path, options: tuple[str, ...]) -> None:
    image = made(tmp_path / "image", source, *options, size=300 * MIB)
    links = [f"symlink gone{number} /SECRET-{number}" for number in range(40)]
    gone = [f"rm gone{number}" for number in range(40)]
    commands = [*links, *gone, "rm program", "rm etc/name", "rm many/a file", "rm sparse"]
    subprocess.run(
        ["debugfs", "-w", "-f", "-", image], input="\n".join(commands), text=True, check=True, capture_output=True
    )
    subprocess.run(["e2fsck", "-fy", image], check=False, capture_output=True)
    block = superblock(read(image)).block
    ranges = unused(read(image))
    blocks = {at // block + number for at, length in ranges for number in range(length // block)}
    free = free_blocks(image)
    assert free <= blocks
    before = {
        name: b"".join(tree.content(inode))
        for tree in [Ext4Tree(read(image))]
        for name, inode in tree.walk()
        if inode.kind == "f"
    }
    with image.open("r+b") as file:
        for at, length in ranges:
            file.seek(at)
            file.write(random.Random(at).randbytes(length) if at // block in free else bytes(length))
        for at, content in list(emptied_tables(read(image))):
            file.seek(at)
            file.write(content)
    assert b"SECRET-" not in image.read_bytes()
    assert list(emptied_tables(read(image))) == []
    checked = subprocess.run(["e2fsck", "-fn", image], check=False, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
    tree = Ext4Tree(read(image))
    assert {name: b"".join(tree.content(inode)) for name, inode in tree.walk() if inode.kind == "f"} == before


def test_what_is_not_known_is_refused(tmp_path: Path) -> None:
    for number, options in enumerate(
        [("-O", "inline_data"), ("-O", "bigalloc"), ("-O", "meta_bg,^resize_inode"), ("-O", "^extent,^64bit")]
    ):
        image = made(tmp_path / f"{number}", None, *options)
        with pytest.raises(UnsupportedExt4Error):
            unused(read(image))
    (tmp_path / "zero").write_bytes(bytes(MIB))
    with pytest.raises(UnsupportedExt4Error):
        Ext4Tree(read(tmp_path / "zero"))
    with pytest.raises(UnsupportedExt4Error):
        Ext4Tree(lambda *_: b"")


def test_a_journal_that_was_not_replayed(tmp_path: Path) -> None:
    image = made(tmp_path / "image", None)
    subprocess.run(["debugfs", "-w", "-R", "feature needs_recovery", image], check=True, capture_output=True)
    with pytest.raises(UnsupportedExt4Error):
        unused(read(image))
    assert superblock(read(image), in_use=True).block


def test_a_wrong_number_of_free_blocks_is_noticed(tmp_path: Path) -> None:
    image = made(tmp_path / "image", None)
    subprocess.run(["debugfs", "-w", "-R", "freeb 5", image], check=True, capture_output=True)
    subprocess.run(
        ["debugfs", "-w", "-R", "set_super_value free_blocks_count 7", image], check=True, capture_output=True
    )
    with pytest.raises(UnsupportedExt4Error, match="free blocks"):
        unused(read(image))


@pytest.mark.parametrize("seed", range(8))
def test_damage_is_an_error_or_a_wrong_result(tmp_path: Path, source: Path, seed: int) -> None:
    image = made(tmp_path / "image", source, "-b", "1024", "-N", "1024", size=16 * MIB)
    whole, chance = image.read_bytes(), random.Random(seed)
    for _ in range(40):
        damaged = bytearray(whole)
        for _ in range(chance.choice((1, 20, 2000))):
            damaged[chance.randrange(1024, 600 << 10)] = chance.choice((0, 1, 0x7F, 0xFF))
        content = bytes(damaged)

        def blocks(at: int, length: int, content: bytes = content) -> bytes:
            return content[at : at + length]

        try:
            tree = Ext4Tree(blocks)
            for _, inode in tree.walk():
                if inode.kind == "l":
                    tree.target(inode)
                elif inode.kind == "f" and inode.size < 16 * MIB:
                    list(tree.content(inode))
                    tree.attribute(inode, 6, b"capability")
            unused(blocks)
            list(emptied_tables(blocks))
        except UnsupportedExt4Error:
            continue
