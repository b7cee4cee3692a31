"""All files of an ext4, by their paths."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from imagebuild.guest.ext4 import inode, superblock
from imagebuild.guest.ext4.inode import Inode
from imagebuild.guest.ext4.superblock import Read, UnsupportedExt4Error

_ROOT = 2
_MOST_FILES = 2_000_000
_LARGEST_FOLDER = 64 << 20
_TABLE_PIECE = 1 << 20


class Ext4Tree:
    """The files of a file system that is not mounted, or frozen; ``read`` reads its blocks.

    Raises UnsupportedExt4Error, here and in every method, if it cannot be read completely.
    """

    def __init__(self, read: Read) -> None:
        self._read = superblock.whole(read)
        self._sizes = superblock.superblock(read)
        self._tables = [(one.table * self._sizes.block, one.inodes) for one in superblock.groups(read, self._sizes)]
        self._pieces: dict[tuple[int, int], bytes] = {}

    def walk(self) -> Iterator[tuple[bytes, Inode]]:
        """Every path below the root, without a slash at its beginning, and what is there. A file with several
        names comes once for each.
        """
        inodes: dict[int, Inode] = {}
        folders, seen, count = [(b"", self.inode(_ROOT))], {_ROOT}, 0
        while folders:
            above, folder = folders.pop()
            for name, number in self._names(folder):
                if (found := inodes.get(number)) is None:
                    found = self.inode(number)
                    if found.links > 1 and found.kind != "d":
                        inodes[number] = found
                path = above + name
                yield path, found
                count += 1
                if found.kind == "d":
                    if number in seen:
                        raise UnsupportedExt4Error("a folder has two names")
                    seen.add(number)
                    folders.append((path + b"/", found))
            if count > _MOST_FILES:
                raise UnsupportedExt4Error("very many files")

    def content(self, found: Inode) -> Iterator[bytes]:
        """The data of a file in pieces."""
        return inode.content(found, self._read, self._sizes)

    def target(self, found: Inode) -> bytes:
        """What a symbolic link contains."""
        return inode.target(found, self._read, self._sizes)

    def attribute(self, found: Inode, index: int, name: bytes) -> bytes | None:
        """The value of an extended attribute, see :func:`imagebuild.guest.ext4.inode.attribute`."""
        return inode.attribute(found, index, name, self._read, self._sizes)

    def inode(self, number: int) -> Inode:
        """The inode with this number."""
        group, at = divmod(number - 1, self._sizes.per_group)
        if number < 1 or group >= len(self._tables) or at >= self._tables[group][1]:
            raise UnsupportedExt4Error(f"there is no inode {number}")
        size, (place, used) = self._sizes.inode, self._tables[group]
        piece, offset = divmod(at * size, _TABLE_PIECE)
        if (table := self._pieces.get((group, piece))) is None:
            length = min(_TABLE_PIECE, used * size - piece * _TABLE_PIECE)
            table = self._pieces[group, piece] = self._read(place + piece * _TABLE_PIECE, length)
        data = table[offset : offset + size]
        if len(data) < size:
            raise UnsupportedExt4Error(f"there is no inode {number}")
        return inode.parsed(number, data, self._sizes)

    def _names(self, folder: Inode) -> Iterator[tuple[bytes, int]]:
        """The names in a folder. Blocks of its index look like entries that are not in use."""
        if folder.size > _LARGEST_FOLDER or folder.size % self._sizes.block:
            raise UnsupportedExt4Error(f"folder {folder.number} of {folder.size} bytes")
        data = b"".join(self.content(folder))
        at, block = 0, self._sizes.block
        while at < len(data):
            number, length, size = struct.unpack_from("<IHB", data, at)
            if length < 8 or length % 4 or at % block + length > block or 8 + size > length:
                raise UnsupportedExt4Error(f"folder {folder.number} is damaged")
            name = data[at + 8 : at + 8 + size]
            if number and name not in (b".", b".."):
                if not name or b"/" in name or b"\0" in name:
                    raise UnsupportedExt4Error(f"folder {folder.number} has an impossible name")
                yield name, number
            at += length
