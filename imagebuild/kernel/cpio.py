"""Archives in the format that the kernel unpacks as an initial RAM file system (cpio, "newc")."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import BinaryIO

_TRAILER = "TRAILER!!!"


@dataclass(frozen=True)
class CpioMember:
    """A member: its path without a leading slash, its type and mode, its bytes (for a link, the
    target).
    """

    path: str
    mode: int
    data: bytes = b""
    rdev: tuple[int, int] = (0, 0)


def directory(path: str) -> CpioMember:
    """A folder, 0755."""
    return CpioMember(path, stat.S_IFDIR | 0o755)


def file(path: str, data: bytes, *, executable: bool = False) -> CpioMember:
    """A regular file, 0644 or 0755."""
    return CpioMember(path, stat.S_IFREG | (0o755 if executable else 0o644), data)


def symlink(path: str, target: str) -> CpioMember:
    """A symbolic link to ``target``."""
    return CpioMember(path, stat.S_IFLNK | 0o777, target.encode())


def character_device(path: str, major: int, minor: int) -> CpioMember:
    """A character device, 0600."""
    return CpioMember(path, stat.S_IFCHR | 0o600, rdev=(major, minor))


def write(entries: Iterable[CpioMember], out: BinaryIO) -> None:
    """Write an archive: parent folders are added, the owner is root, times are zero.

    The end is padded to 512 bytes, so that another archive can follow it.
    """
    size = 0
    made: set[str] = set()
    for number, entry in enumerate([*_with_parents(entries, made), CpioMember(_TRAILER, 0)], 1):
        size += out.write(_member(entry, number))
    out.write(b"\0" * (-size % 512))


def _with_parents(entries: Iterable[CpioMember], made: set[str]) -> Iterable[CpioMember]:
    for entry in entries:
        parts = entry.path.split("/")
        for depth in range(1, len(parts)):
            above = "/".join(parts[:depth])
            if above not in made:
                made.add(above)
                yield directory(above)
        if stat.S_ISDIR(entry.mode):
            if entry.path in made:
                continue
            made.add(entry.path)
        yield entry


def _member(entry: CpioMember, number: int) -> bytes:
    name = entry.path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    # magic, then ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
    fields = (number, entry.mode, 0, 0, links, 0, len(entry.data), 0, 0, *entry.rdev, len(name), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name
    return _aligned(head) + _aligned(entry.data)


def _aligned(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
