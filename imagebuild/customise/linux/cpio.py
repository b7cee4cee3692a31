"""The archives in an initramfs: cpio, format ``newc`` (kernel documentation, "initramfs buffer
format"). Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from imagebuild.errors import GuestError

MAGIC = (b"070701", b"070702")
"""The second variant has a checksum for each file."""
_HEADER = 110
_SIZE, _NAME_SIZE, _SUM = slice(54, 62), slice(94, 102), slice(102, 110)
_INODE, _LINKS, _DEVICE = slice(6, 14), slice(38, 46), slice(62, 78)
_MODE = slice(14, 22)
_END = b"TRAILER!!!"


@dataclass(frozen=True)
class Member:
    """A file, folder or link: its header as in the archive, its name without leading slashes, and
    its content."""

    header: bytes
    name: bytes
    content: bytes

    @property
    def mode(self) -> int:
        """Its type and permission bits, as in stat(2)."""
        return int(self.header[_MODE], 16)

    @property
    def file(self) -> bytes:
        """Identifies the file among hard links to it; empty if it has only one name."""
        return self.header[_INODE] + self.header[_DEVICE] if int(self.header[_LINKS], 16) > 1 else b""


def _members(archive: bytes) -> Iterator[tuple[Member, int]]:
    at = 0
    while (header := archive[at : at + _HEADER])[:6] in MAGIC and len(header) == _HEADER:
        try:
            size, length = int(header[_SIZE], 16), int(header[_NAME_SIZE], 16)
            int(header[_LINKS], 16), int(header[_MODE], 16)
        except ValueError as error:
            raise GuestError("an initramfs of the guest is damaged") from error
        start = at + _HEADER
        name = archive[start : start + length].rstrip(b"\0")
        start = _aligned(start + length)
        content = archive[start : start + size]
        if len(content) < size:
            break
        at = _aligned(start + size)
        yield Member(header, name, content), at
        if name == _END:
            return
    raise GuestError("an initramfs of the guest is damaged: an archive has no end")


def changed(archive: bytes, change: Callable[[Member], Member | None]) -> tuple[bytes, int]:
    """The archive at the start of ``archive`` with ``change`` applied to each member, and the
    original length.

    None for a member removes it, under all of its names. GuestError if the archive is damaged.
    """
    found = list(_members(archive))
    end = min(found[-1][1], len(archive))
    results = [(one, one if one.name == _END else change(one)) for one, _ in found]
    if all(new == old for old, new in results):
        return archive[:end], end
    # Only one of several names of a file carries its content; without it the others would be empty.
    gone = {old.file for old, new in results if new is None and old.file}
    return b"".join(_packed(new) for _, new in results if new is not None and new.file not in gone), end


def with_content(member: Member, content: bytes) -> Member:
    """``member`` with different content, and its checksum if its format has one."""
    header = bytearray(member.header)
    header[_SIZE] = b"%08X" % len(content)
    if bytes(header[:6]) == MAGIC[1]:
        header[_SUM] = b"%08X" % (sum(content) & 0xFFFFFFFF)
    return replace(member, header=bytes(header), content=content)


def with_name(member: Member, name: bytes) -> Member:
    """``member`` under a different name."""
    header = bytearray(member.header)
    header[_NAME_SIZE] = b"%08X" % (len(name) + 1)
    return replace(member, header=bytes(header), name=name)


def _packed(member: Member) -> bytes:
    # The length of an unchanged name may include more than one zero after it.
    length = int(member.header[_NAME_SIZE], 16)
    head = member.header + member.name.ljust(length, b"\0")
    return _padded(_padded(head) + member.content)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _aligned(offset: int) -> int:
    return (offset + 3) & ~3
