"""ext2, ext3 and ext4 apart from their free blocks: the journal, which contains copies of folders
and inodes, and unused inodes, which contain short links and extended attributes.

The locations come from dumpe2fs(8) and debugfs(8). The first block of the journal is its
superblock; in a file system that was unmounted cleanly it says that there is nothing to replay
(kernel documentation, ext4, "Journal (jbd2)").
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from imagebuild.errors import GuestError
from imagebuild.guest.shell import Shell
from imagebuild.guest.unused.zeros import punch, read, write

_JOURNAL_INODE = 8
_SEPARATOR = "-- journal --"
_MUCH = 64 << 10
"""The number of bytes of consecutive free inodes that are zeroed without reading them first: that
is one command, and many removed files leave megabytes."""
_RUN = re.compile(r"\((\d+)(?:-(\d+))?(?:\[u\])?\):(\d+)(?:-(\d+))?")
"""Logical and physical blocks, as listed by debugfs; ``(IND):7`` and ``(ETB0):7`` are blocks of the
mapping itself."""
_GROUP = re.compile(r"^Group (\d+): \(Blocks .*$", re.MULTILINE)


@dataclass(frozen=True)
class InodeTable:
    """The part of the inode table in one group: its first inode, the table's first block, the free
    inodes, the number of inodes that were never used."""

    first: int
    table: int
    free: tuple[tuple[int, int], ...]
    unused: int
    zeroed: bool


@dataclass(frozen=True)
class Layout:
    """The required fields of the superblock and the groups of a file system. Sizes in bytes."""

    block: int
    inode: int
    per_group: int
    features: frozenset[str]
    external_journal: bool
    groups: tuple[InodeTable, ...]


def wipe(guestfs: Any, shell: Shell, device: str) -> list[str]:
    """Zero the journal and the unused inodes of an unmounted file system. Returns what was left,
    and why."""
    name = shell.device(device)
    dump, _, journal = shell.line(
        f"dumpe2fs {name} 2>/dev/null | grep -vE '^  (Free blocks|.* bitmap at|.* superblock at)';"
        f" echo {_SEPARATOR}; debugfs -R 'stat <{_JOURNAL_INODE}>' {name} 2>/dev/null"
    ).partition(_SEPARATOR)
    layout = parsed(dump)
    if "needs_recovery" in layout.features:
        raise GuestError(f"the journal of {device} was not replayed", "`e2fsck -f` may repair the file system")
    zeros = [_never_used(layout, group) for group in layout.groups if group.unused and not group.zeroed]
    if "has_journal" in layout.features:
        zeros += [(at * layout.block, count * layout.block) for at, count in journal_blocks(journal)]
    tables: list[tuple[InodeTable, int, int]] = []
    for group in layout.groups:
        much, rest = _freed(layout, group)
        zeros += [(group.table * layout.block + begin, end - begin) for begin, end in much]
        tables += [(group, begin, end) for begin, end in rest]
    punch(shell, name, zeros)
    spans = [(group.table * layout.block + begin, end - begin) for group, begin, end in tables]
    pieces = [
        piece
        for (group, begin, _), old in zip(tables, read(shell, name, spans), strict=True)
        for piece in _emptied_inodes(layout, group, begin, old)
    ]
    write(guestfs, shell, name, pieces)
    return [f"{device} has its journal on another device"] if layout.external_journal else []


def _never_used(layout: Layout, group: InodeTable) -> tuple[int, int]:
    """The whole blocks of a group's table that were never used, and that the guest's kernel would
    have zeroed eventually."""
    begin = (layout.per_group - group.unused) * layout.inode
    begin += -begin % layout.block
    return group.table * layout.block + begin, layout.per_group * layout.inode - begin


def _freed(layout: Layout, group: InodeTable) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Start and end, in bytes, of ranges in the used part of a group's table: blocks of free
    inodes, many in a row; and other blocks that contain free inodes."""
    used = (layout.per_group - group.unused) * layout.inode
    used += -used % layout.block
    free = [
        ((first - group.first) * layout.inode, min((last + 1 - group.first) * layout.inode, used))
        for first, last in group.free
        if (first - group.first) * layout.inode < used
    ]
    blocks = [(begin + -begin % layout.block, end - end % layout.block) for begin, end in free]
    much = [(begin, end) for begin, end in blocks if end - begin >= _MUCH]
    edges = [0, *(edge for part in much for edge in part), used]
    rest = [
        (begin, end)
        for begin, end in zip(edges[::2], edges[1::2], strict=True)
        if any(first < end and begin < last for first, last in free)
    ]
    return much, rest


def _emptied_inodes(layout: Layout, group: InodeTable, start: int, old: bytes) -> Iterator[tuple[int, bytes]]:
    """The blocks of a table from ``start`` on, with zeros in place of the free inodes, where that
    changes anything."""
    new = bytearray(old)
    for first, last in group.free:
        begin = max((first - group.first) * layout.inode - start, 0)
        end = min((last + 1 - group.first) * layout.inode - start, len(old))
        if begin < end:
            new[begin:end] = bytes(end - begin)
    for begin, end in _changed_blocks(old, bytes(new), layout.block):
        yield group.table * layout.block + start + begin, bytes(new[begin:end])


def _changed_blocks(old: bytes, new: bytes, block: int) -> Iterator[tuple[int, int]]:
    """The part from the first block that differs to the last one."""
    different = [at for at in range(0, len(old), block) if old[at : at + block] != new[at : at + block]]
    if different:
        yield different[0], different[-1] + block


def journal_blocks(stat: str) -> list[tuple[int, int]]:
    """First block and number of blocks of each piece of the journal, without its superblock, from
    debugfs's output about its inode."""
    found = []
    for logical, _, first, last in _RUN.findall(stat):
        skip = 1 if int(logical) == 0 else 0
        count = int(last or first) + 1 - int(first) - skip
        if count > 0:
            found.append((int(first) + skip, count))
    return found


def parsed(dump: str) -> Layout:
    """The layout from the output of dumpe2fs. GuestError if that has an unexpected format."""
    head, *_ = _GROUP.split(dump, maxsplit=1)
    known = dict(re.findall(r"^([A-Z][^:\n]*):[ \t]*(.*)$", head, re.MULTILINE))
    try:
        per_group = int(known["Inodes per group"])
        parts = _GROUP.split(dump)[1:]
        titles = _GROUP.finditer(dump)
        groups = [
            _group(int(number), title[0], text, per_group)
            for number, title, text in zip(parts[::2], titles, parts[1::2], strict=True)
        ]
        return Layout(
            int(known["Block size"]),
            int(known.get("Inode size", "128")),
            per_group,
            frozenset(known.get("Filesystem features", "").split()),
            "Journal device" in known,
            tuple(groups),
        )
    except (KeyError, ValueError, AttributeError) as error:
        raise GuestError("dumpe2fs does not show where the inodes of a file system are") from error


def _group(number: int, title: str, text: str, per_group: int) -> InodeTable:
    table = re.search(r"Inode table at (\d+)", text)
    unused = re.search(r"(\d+) unused inodes", text)
    free = re.search(r"^  Free inodes: (.*)$", text, re.MULTILINE)
    if table is None:
        raise ValueError(text)
    runs = re.findall(r"(\d+)(?:-(\d+))?", free[1]) if free else []
    return InodeTable(
        first=number * per_group + 1,
        table=int(table[1]),
        free=tuple((int(first), int(last or first)) for first, last in runs),
        unused=per_group if "INODE_UNINIT" in title else int(unused[1]) if unused else 0,
        # Without group checksums every table was zeroed when the file system was created.
        zeroed="ITABLE_ZEROED" in title or unused is None,
    )
