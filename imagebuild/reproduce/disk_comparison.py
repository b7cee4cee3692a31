"""Compares the disks in two images, block by block, and says in which part of the disk they differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from imagebuild.contents.inventory import DiskLayout
from imagebuild.image import disk_image, nbd_disk
from imagebuild.progress import Progress
from imagebuild.reproduce.superblock import SIZE, identifiers

BLOCK = 4096
_NOTHING = bytes(BLOCK)
TABLE = "partition table and boot code"


@dataclass(frozen=True)
class DiskPart:
    """A part of a disk: ``start`` and ``size`` in bytes."""

    name: str
    start: int
    size: int


@dataclass(frozen=True)
class PartDifference:
    """How many blocks of 4 KiB are in use in a part of one of the disks, and in how many they differ;
    ``identifiers`` are those that differ, before and after.
    """

    name: str
    blocks: int
    different: int
    identifiers: dict[str, tuple[str, str]]


def parts(layout: DiskLayout | None, size: int) -> list[DiskPart]:
    """The parts of a disk: before the first partition, each partition, and what is between or after."""
    areas = sorted((one for one in layout.areas if one.number), key=lambda one: one.start) if layout else []
    if not areas:
        return [DiskPart("disk", 0, size)]
    found, at = [DiskPart(TABLE, 0, areas[0].start)], areas[0].start
    for area in areas:
        if area.start > at:
            found.append(DiskPart("gap", at, area.start - at))
        name = f"partition {area.number}" + (f", {area.filesystem}" if area.filesystem else "")
        found.append(DiskPart(name, area.start, area.size))
        at = max(at, area.start + area.size)
    return [*found, *([DiskPart("end of the disk", at, size - at)] if size > at else [])]


def compare(old: Path, new: Path, layout: DiskLayout | None, progress: Progress) -> list[PartDifference]:
    """The parts of the disk in ``new``, and what differs from ``old``. Nothing is written.

    Raises UsageError for an image of another format, HostError and CommandFailed if it cannot be read.
    """
    formats = [disk_image.recognise(path) for path in (old, new)]
    with nbd_disk.opened(old, formats[0]) as before, nbd_disk.opened(new, formats[1]) as after:
        size = max(before.size, after.size)
        counting = _Counting(parts(layout, size))
        for offset, one, other in paired(before.chunks(), after.chunks()):
            counting.add(offset, one, other)
            progress.update("comparing the disks", offset / size)
    return counting.result()


def paired(old: Iterator[tuple[int, bytes]], new: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes, bytes]]:
    """The chunks of two disks at the same offset; what only one of them has is empty in the other."""
    end = (-1, b"")
    one, other = next(old, end), next(new, end)
    while one[0] >= 0 or other[0] >= 0:
        at = min(offset for offset, _ in (one, other) if offset >= 0)
        mine, theirs = one[0] == at, other[0] == at
        yield at, one[1] if mine else b"", other[1] if theirs else b""
        one = next(old, end) if mine else one
        other = next(new, end) if theirs else other


class _Counting:
    """Counts blocks by part, in the order of the disk."""

    def __init__(self, wanted: Sequence[DiskPart]) -> None:
        self._parts = wanted
        self._used = [0] * len(wanted)
        self._different = [0] * len(wanted)
        self._heads: list[tuple[bytearray, bytearray]] = [(bytearray(SIZE), bytearray(SIZE)) for _ in wanted]

    def add(self, offset: int, old: bytes, new: bytes) -> None:
        length = max(len(old), len(new))
        for number, part in enumerate(self._parts):
            start, end = max(part.start, offset), min(part.start + part.size, offset + length)
            if start >= end:
                continue
            for head, data in zip(self._heads[number], (old, new), strict=True):
                if start - part.start < SIZE:
                    piece = data[start - offset : min(end, part.start + SIZE) - offset]
                    head[start - part.start : start - part.start + len(piece)] = piece
            for at in range(start - offset, end - offset, BLOCK):
                until = min(at + BLOCK, end - offset)
                one, other = (data[at:until] or _NOTHING[: until - at] for data in (old, new))
                same = one == other
                self._different[number] += not same
                self._used[number] += not same or one != _NOTHING[: until - at]

    def result(self) -> list[PartDifference]:
        found = []
        for part, used, different, heads in zip(self._parts, self._used, self._different, self._heads, strict=True):
            before, after = (identifiers(bytes(head)) for head in heads)
            changed = {
                name: (before.get(name, ""), after.get(name, ""))
                for name in sorted(before.keys() | after.keys())
                if before.get(name) != after.get(name)
            }
            found.append(PartDifference(part.name, used, different, changed))
        return found
