"""Changing the contents of an initramfs without the guest's tools. Pure functions.

An initramfs is a sequence of cpio archives (kernel documentation, "initramfs buffer format"): some
may be uncompressed, such as the one with microcode at the beginning, and the last one is usually
compressed.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Collection

from imagebuild.customise.linux import compressed, cpio
from imagebuild.customise.linux.cpio import Member
from imagebuild.errors import GuestError

Change = Callable[[bytes], bytes]


def is_one(content: bytes) -> bool:
    """Whether ``content`` is an archive, or a compressed one."""
    if content.startswith(cpio.MAGIC):
        return True
    method = compressed.method_of(content)
    return method is not None and compressed.starts_with(method, content, cpio.MAGIC)


def rewritten(content: bytes, change: Change) -> bytes:
    """``content`` with ``change`` applied to the content and the name of each file, compressed as
    before; the same object if nothing changes.

    Raises GuestError for an unknown compression, or if it is damaged or too large.
    """

    def of_member(member: Member) -> Member:
        name, inside = change(member.name), change(member.content)
        if name != member.name:
            member = cpio.with_name(member, name)
        return member if inside == member.content else cpio.with_content(member, inside)

    return _with_members(content, of_member)


def members(content: bytes) -> list[Member]:
    """Everything in an initramfs, in its order. Raises the same GuestError as ``rewritten``."""
    found: list[Member] = []

    def look(member: Member) -> Member:
        found.append(member)
        return member

    _with_members(content, look)
    return found


def names(content: bytes) -> set[str]:
    """The paths of everything in an initramfs, without leading slashes. Raises the same GuestError
    as ``rewritten``."""
    return set(map(_path, members(content)))


def without(content: bytes, paths: Collection[str], emptied: Collection[str] = ()) -> bytes:
    """``content`` without the files at ``paths``, and with those at ``emptied`` made empty; the
    same object if that changes nothing.

    Paths have no leading slashes.
    """

    def change(member: Member) -> Member | None:
        path = _path(member)
        if path in emptied and member.content:
            return cpio.with_content(member, b"")
        return None if path in paths else member

    return _with_members(content, change)


def _path(member: Member) -> str:
    return posixpath.normpath(member.name.decode("utf-8", "surrogateescape").lstrip("/")) if member.name else ""


def _with_members(content: bytes, change: Callable[[Member], Member | None]) -> bytes:
    parts: list[bytes] = []
    at = 0
    while at < len(content):
        part, size = _archives(content[at:], change)
        if size == 0:
            method = compressed.method_of(content[at : at + 16])
            if method is None:
                raise GuestError(
                    "an initramfs of the guest has an unsupported compression",
                    "rebuild it in the guest with gzip, xz, lzma, bzip2, zstd or lz4",
                )
            plain, size = compressed.unpacked(method, content[at:])
            new, end = _archives(plain, change)
            part = content[at : at + size] if new == plain[:end] else method.pack(new + plain[end:])
        parts.append(part)
        at += size
    joined = b"".join(parts)
    return content if joined == content else joined


def _archives(content: bytes, change: Callable[[Member], Member | None]) -> tuple[bytes, int]:
    """The changed archives at the beginning of ``content``, with the zeros around them, and their
    original length."""
    parts: list[bytes] = []
    at = 0
    while True:
        zeros = len(content) - at - len(content[at:].lstrip(b"\0"))
        parts.append(content[at : at + zeros])
        at += zeros
        if content[at : at + 6] not in cpio.MAGIC:
            return b"".join(parts), at
        new, end = cpio.changed(content[at:], change)
        parts.append(new)
        at += end
