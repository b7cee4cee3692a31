"""FAT apart from its free clusters: folder entries of removed files, which keep their names, and
the data behind the ends of files.

The layout is that of Microsoft's "FAT: General Overview of On-Disk Format". The width of the table
is determined as in the kernel's fs/fat/inode.c: no 16-bit length of the table means 32 bits,
otherwise the number of clusters decides.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from imagebuild.errors import GuestError
from imagebuild.guest.shell import Shell
from imagebuild.guest.unused.zeros import punch, write

_CHUNK = 1 << 20
"""The number of bytes per read: a libguestfs message holds less than 4 MiB."""
_SECTOR = 512
_ENTRY = 32
_REMOVED = 0xE5
_LONG_NAME, _LABEL, _FOLDER = 0x0F, 0x08, 0x10
_MOST_12 = 4084
_LARGEST_TABLE = 64 << 20
"""The size limit of a table in bytes; that of an EFI system partition has some hundred KiB."""
Read = Callable[[int, int], bytes]
"""Reads a number of bytes at an offset."""


class DamagedError(Exception):
    """The file system is inconsistent, or is not a FAT."""


@dataclass
class Unused:
    """Unreferenced data: whole sectors with their new content, and ranges to be zeroed, by offset."""

    sectors: list[tuple[int, bytes]] = field(default_factory=list)
    free: list[tuple[int, int]] = field(default_factory=list)


def wipe(guestfs: Any, shell: Shell, device: str, *, free: bool = False) -> list[str]:
    """Zero removed entries and the ends of clusters of an unmounted file system; with ``free``,
    free clusters too. Returns what was left, and why."""

    def read(at: int, size: int) -> bytes:
        parts = [
            guestfs.pread_device(device, min(_CHUNK, at + size - start), start)
            for start in range(at, at + size, _CHUNK)
        ]
        return b"".join(parts)

    try:
        found = unused(read, guestfs.blockdev_getsize64(device))
    except (DamagedError, GuestError) as error:
        return [f"{device} (FAT) is damaged: {error}"]
    name = shell.device(device)
    write(guestfs, shell, name, found.sectors)
    if free:
        punch(shell, name, found.free)
    return []


def unused(read: Read, size: int) -> Unused:
    """The unused data in a file system of ``size`` bytes. Raises DamagedError."""
    fat = _Fat(read, size)
    found = Unused(free=fat.free())
    waiting = [fat.root]
    seen = set(fat.root[:1])
    while waiting:
        places = waiting.pop()
        content = b"".join(read(at, length) for at, length in places)
        found.sectors += _changed(places, content, _cleared(content))
        for is_folder, first, length in _entries(content, wide=fat.bits == 32):
            chain = fat.places(first)
            if is_folder:
                if chain and chain[0] not in seen:
                    seen.add(chain[0])
                    waiting.append(chain)
            elif chain:
                found.sectors += _behind_end(read, chain, length)
    return found


class _Fat:
    """The table, and the layout. ``root`` contains the places of the root folder: offset and length
    in bytes."""

    def __init__(self, read: Read, size: int) -> None:
        head = read(0, _SECTOR)
        sector, per_cluster, reserved, tables, entries, total, _, length = struct.unpack_from("<HBHBHHBH", head, 11)
        long_total, long_length = struct.unpack_from("<II", head, 32)
        total = total or long_total
        self.bits = 0 if length else 32
        length = length or long_length
        if sector not in (512, 1024, 2048, 4096) or not per_cluster or not tables or head[510:512] != b"\x55\xaa":
            raise DamagedError("it has no FAT header")
        self._cluster: int = sector * per_cluster
        root = (reserved + tables * length) * sector
        self._data: int = root + -(-entries * _ENTRY // sector) * sector
        self._count = (total * sector - self._data) // self._cluster
        self.bits = self.bits or (12 if self._count <= _MOST_12 else 16)
        if total * sector > size or self._count < 1 or length * sector > _LARGEST_TABLE:
            raise DamagedError("its header describes more than there is")
        self._next = self._table(read(self._in_use(head, reserved, tables, length) * sector, length * sector))
        self.root = (
            self.places(struct.unpack_from("<I", head, 44)[0]) if self.bits == 32 else [(root, entries * _ENTRY)]
        )

    def _in_use(self, head: bytes, reserved: int, tables: int, length: int) -> int:
        """The current copy of the table: one of them, if they are not kept identical."""
        flags = struct.unpack_from("<H", head, 40)[0] if self.bits == 32 else 0
        return reserved + (min(flags & 0xF, tables - 1) * length if flags & 0x80 else 0)

    def _table(self, content: bytes) -> list[int]:
        needed = self._count + 2
        if self.bits == 12:
            pairs = (int.from_bytes(content[at : at + 3], "little") for at in range(0, len(content) - 2, 3))
            found = [one for pair in pairs for one in (pair & 0xFFF, pair >> 12)]
        elif self.bits == 16:
            found = list(struct.unpack(f"<{len(content) // 2}H", content))
        else:
            found = [one & 0x0FFFFFFF for one in struct.unpack(f"<{len(content) // 4}I", content)]
        if len(found) < needed:
            raise DamagedError("its table is too short")
        return found[:needed]

    def free(self) -> list[tuple[int, int]]:
        """Offset and length of the runs of free clusters."""
        found: list[tuple[int, int]] = []
        for number in range(2, self._count + 2):
            if self._next[number]:
                continue
            at = self._place(number)
            if found and sum(found[-1]) == at:
                found[-1] = (found[-1][0], found[-1][1] + self._cluster)
            else:
                found.append((at, self._cluster))
        return found

    def places(self, first: int) -> list[tuple[int, int]]:
        """The clusters of a file or folder from its first one, in order; none for an empty file."""
        found: list[tuple[int, int]] = []
        number = first
        while number and number < (1 << min(self.bits, 28)) - 8:
            if not 2 <= number < len(self._next) or len(found) > self._count:
                raise DamagedError("a file in it has clusters that do not exist")
            found.append((self._place(number), self._cluster))
            number = self._next[number]
            if number == 0:
                raise DamagedError("a file in it has clusters that are free")
        return found

    def _place(self, number: int) -> int:
        return self._data + (number - 2) * self._cluster


def _entries(content: bytes, *, wide: bool) -> Iterator[tuple[bool, int, int]]:
    """The files and folders in a folder: whether it is a folder, its first cluster, its length."""
    for at in range(0, len(content), _ENTRY):
        entry = content[at : at + _ENTRY]
        kind = entry[11]
        if entry[0] == 0:
            return
        if entry[0] == _REMOVED or kind & 0x3F == _LONG_NAME or kind & _LABEL or entry[:1] == b".":
            continue
        high, low, length = struct.unpack_from("<H4xHI", entry, 20)
        yield bool(kind & _FOLDER), low | high << 16 if wide else low, length


def _cleared(content: bytes) -> bytes:
    """A folder without the contents of removed entries and without the data behind its end."""
    new = bytearray(content)
    for at in range(0, len(new), _ENTRY):
        if new[at] == 0:
            new[at:] = bytes(len(new) - at)
            break
        if new[at] == _REMOVED:
            new[at + 1 : at + _ENTRY] = bytes(_ENTRY - 1)
    return bytes(new)


def _behind_end(read: Read, chain: list[tuple[int, int]], length: int) -> Iterator[tuple[int, bytes]]:
    """The sectors from the end of a file to the end of its clusters that do not contain zeros only."""
    for number, (at, size) in enumerate(chain):
        used = min(max(length - number * size, 0), size)
        if used == size:
            continue
        begin = used - used % _SECTOR
        old = read(at + begin, size - begin)
        new = old[: used - begin] + bytes(size - used)
        yield from _changed([(at + begin, size - begin)], old, new)


def _changed(places: list[tuple[int, int]], old: bytes, new: bytes) -> Iterator[tuple[int, bytes]]:
    """The sectors that differ between the current and the new content of ``places``."""
    done = 0
    for at, length in places:
        for start in range(done, done + length, _SECTOR):
            part = slice(start, min(start + _SECTOR, done + length))
            if old[part] != new[part]:
                yield at + start - done, new[part]
        done += length
