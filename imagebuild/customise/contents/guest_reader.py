"""What reads a guest for its inventory: the appliance in which it is mounted, or this host from the blocks
of its only file system, which takes a fraction of the time under emulation.

Both give the same results, byte by byte.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from imagebuild.contents.inventory import FileRecord
from imagebuild.customise.contents import survey
from imagebuild.customise.contents.dpkg_packages import LICENCE_LINES
from imagebuild.customise.contents.survey import Survey
from imagebuild.customise.contents.unowned import DIGEST
from imagebuild.errors import GuestError
from imagebuild.guest.ext4.inode import Inode
from imagebuild.guest.ext4.superblock import Read, UnsupportedExt4Error
from imagebuild.guest.ext4.tree import Ext4Tree

if TYPE_CHECKING:
    from imagebuild.customise.files import Files

CONCATENATE = 'cat -- "$@" | gzip -1'
_MOST_OUTPUT = 256 << 20
_SECTOR = 512
_SECURITY, _CAPABILITY = 6, b"capability"
_REVISION_2 = (20, 0x02)
"""Length and last byte of the first word (linux/capability.h). The kernel shows others depending on who asks."""
_LICENCE_LINE = re.compile(rb"(?:format|format-specification|license):", re.IGNORECASE)
_MOST_LINES = 5000


class GuestReader(Protocol):
    """``survey`` lists the files and the disks of a guest."""

    survey: Survey

    def read(self, path: str, limit: int) -> bytes:
        """The first bytes of a file, at a path without links."""

    def output(self, script: str, paths: Sequence[str]) -> bytes:
        """What ``CONCATENATE``, ``LICENCE_LINES`` or ``DIGEST`` prints about files, uncompressed."""


class ApplianceReader:
    """Reads through the appliance. GuestError if it cannot list the files."""

    def __init__(self, files: Files, *, all_digests: bool) -> None:
        self._files = files
        self.survey = survey.parsed(files.appliance_output(survey.SCRIPT))
        if all_digests:
            self.survey = survey.with_digests(self.survey, files.appliance_output(survey.DIGESTS))

    def read(self, path: str, limit: int) -> bytes:
        return self._files.read(path, limit)

    def output(self, script: str, paths: Sequence[str]) -> bytes:
        try:
            return _unzipped(self._files.appliance_output(script, paths))
        except zlib.error as error:
            raise GuestError("the output of a program in the appliance is damaged") from error


class HostReader:
    """Reads the blocks of the guest's only file system; ``devices`` is what ``survey.DEVICES`` prints.

    Raises UnsupportedExt4Error, here and in every method, for what has to be read by a kernel.
    """

    def __init__(self, read: Read, devices: bytes, *, all_digests: bool) -> None:
        self._tree = Ext4Tree(read)
        self._inodes: dict[str, Inode] = {}
        found = [self._record(name, inode, all_digests=all_digests) for name, inode in self._tree.walk()]
        self.survey = survey.put_together(devices.split(b"\0")[:3], found)

    def _record(self, name: bytes, inode: Inode, *, all_digests: bool) -> tuple[FileRecord, int, bytes]:
        path = "/" + name.decode("utf-8", "surrogateescape")
        is_file = inode.kind == "f"
        target = self._tree.target(inode).decode("utf-8", "surrogateescape") if inode.kind == "l" else ""
        record = FileRecord(
            path, inode.kind, inode.mode, inode.uid, inode.gid, inode.size if is_file else 0, target,
            self._capabilities(inode) if is_file else "",
        )  # fmt: skip
        if is_file:
            self._inodes[path] = inode
            if all_digests or survey.is_digested(record):
                record = record._replace(sha256=self._digest(inode))
        place = b"" if inode.kind == "d" or inode.links == 1 else b"%d" % inode.number
        return record, inode.blocks * _SECTOR, place

    def _capabilities(self, inode: Inode) -> str:
        value = self._tree.attribute(inode, _SECURITY, _CAPABILITY)
        if value is not None and (len(value), value[3:4]) != (_REVISION_2[0], bytes([_REVISION_2[1]])):
            raise UnsupportedExt4Error(f"capabilities of inode {inode.number}")
        return "" if value is None else value.hex()

    def _digest(self, inode: Inode) -> str:
        digest = hashlib.sha256()
        for part in self._tree.content(inode):
            digest.update(part)
        return digest.hexdigest()

    def read(self, path: str, limit: int) -> bytes:
        """See GuestReader."""
        found, left = bytearray(), limit
        for part in self._tree.content(self._inodes[path]):
            found += part[:left]
            left -= len(part)
            if left <= 0:
                break
        return bytes(found)

    def output(self, script: str, paths: Sequence[str]) -> bytes:
        """See GuestReader."""
        found = [self._inodes[path] for path in paths]
        prints: dict[str, Callable[[str, Inode], bytes]] = {
            CONCATENATE: lambda _, inode: self._whole(inode),
            LICENCE_LINES: lambda path, inode: b"".join(_licence_lines(f".{path}", self._whole(inode))),
            DIGEST: lambda path, inode: f"{self._digest(inode)}  .{path}\0".encode("utf-8", "surrogateescape"),
        }
        return b"".join(prints[script](path, inode) for path, inode in zip(paths, found, strict=True))[:_MOST_OUTPUT]

    def _whole(self, inode: Inode) -> bytes:
        return b"".join(self._tree.content(inode))


def _licence_lines(path: str, content: bytes) -> Iterator[bytes]:
    """What ``LICENCE_LINES`` prints of a file."""
    name = path.encode("utf-8", "surrogateescape")
    lines = content.split(b"\n")
    for line in [line for line in lines if _LICENCE_LINE.match(line)][:_MOST_LINES]:
        yield name + b"\0" + line + b"\0"


def _unzipped(content: bytes) -> bytes:
    """All members of a gzip stream, as far as they are together smaller than 256 MiB."""
    found, left = [], _MOST_OUTPUT
    while content and left > 0:
        unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        part = unpacker.decompress(content, left)
        left -= len(part)
        found.append(part)
        content = unpacker.unused_data
    return b"".join(found)
