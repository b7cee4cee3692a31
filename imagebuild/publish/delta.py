"""A plan how a host rebuilds a file from older versions that it has, and from what is sent. Pure.

A plan goes through the file from front to back, in segments: clusters of the disk as the file stores
them, other bytes, and what the host has already from an interrupted transfer. Clusters are made of
blocks of 4 KiB, in runs: zeros, blocks of older disks, and blocks that are sent. docs/delta.md says why.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from imagebuild.publish.agent.oldimages import BLOCK, DIGEST, NONE, PER_CLUSTER
from imagebuild.publish.agent.rebuild import CLUSTER_SEGMENT, KEPT, KINDS, LITERAL, OLD, REST, ZERO
from imagebuild.publish.disk_map import DiskMap, StoredCluster

_LONGEST_REST = 1 << 20


@dataclass(frozen=True)
class PlannedSegment:
    """Bytes of the file: its kind, and the cluster if it is one."""

    kind: int
    offset: int
    length: int
    cluster: StoredCluster | None = None


@dataclass(frozen=True)
class OldBlocks:
    """The blocks of older disks on a host: ``digests`` has those of clusters, one after another;
    ``numbers`` the clusters' numbers.
    """

    numbers: Sequence[int]
    digests: bytes

    @classmethod
    def decoded(cls, data: bytes, most: int) -> OldBlocks:
        """From what a host sent; raises ValueError if it makes no sense."""
        length = 8 + DIGEST * PER_CLUSTER
        inflater = zlib.decompressobj()
        try:
            text = inflater.decompress(data, most * length)
        except zlib.error as error:
            raise ValueError("the description of older versions is damaged") from error
        count, rest = divmod(len(text), length)
        if rest or not inflater.eof:
            raise ValueError("the description of older versions has another length")
        return cls(struct.unpack(f">{count}Q", text[: 8 * count]), text[8 * count :])


@dataclass(frozen=True)
class DeltaPlan:
    """A plan: ``segments`` in the file's order, ``runs`` as (kind, count, first old block), and how
    many blocks are sent.
    """

    segments: tuple[PlannedSegment, ...]
    runs: tuple[tuple[int, int, int], ...]

    @property
    def sent(self) -> int:
        """The bytes that are sent, before they are compressed."""
        blocks = sum(count for kind, count, _ in self.runs if kind == LITERAL)
        return blocks * BLOCK + sum(one.length for one in self.segments if one.kind == REST)

    def packed(self) -> bytes:
        """The plan for the agent (see its module ``rebuild``)."""
        numbers = [len(self.segments), *(one.length * KINDS + one.kind for one in self.segments), len(self.runs)]
        expected = 0
        for kind, count, first in self.runs:
            numbers.append(count * KINDS + kind)
            if kind == OLD:
                step = first - expected
                numbers.append(-step * 2 - 1 if step < 0 else step * 2)
                expected = first + count
        numbers += [one.cluster.check for one in self.segments if one.cluster is not None]
        return zlib.compress(b"".join(map(_varint, numbers)), 9)

    def literals(self, content: Callable[[StoredCluster], bytes], rest: Callable[[int, int], bytes]) -> Iterator[bytes]:
        """What is sent, in the order of the plan. ``content`` returns a cluster's data, ``rest`` bytes
        of the file.
        """
        runs = iter(self.runs)
        kind, count = ZERO, 0
        for segment in self.segments:
            if segment.kind == REST:
                yield rest(segment.offset, segment.length)
            if segment.cluster is None:
                continue
            at, data = 0, b""
            while at < PER_CLUSTER:
                if not count:
                    kind, count, _ = next(runs)
                some = min(count, PER_CLUSTER - at)
                if kind == LITERAL:
                    data = data or content(segment.cluster)
                    yield data[at * BLOCK : (at + some) * BLOCK]
                at, count = at + some, count - some


def planned(new: DiskMap, old: OldBlocks, right: Callable[[int, int], bool]) -> DeltaPlan:
    """The plan for ``new``. ``right`` says of an offset and a length whether the host has these bytes of
    the file already.
    """
    segments = tuple(_segments(new, right))
    wanted = [one.cluster.digests for one in segments if one.cluster is not None]
    return DeltaPlan(segments, tuple(_runs(wanted, old)))


def _segments(new: DiskMap, right: Callable[[int, int], bool]) -> Iterator[PlannedSegment]:
    at = 0
    for cluster in new.clusters:
        yield from _rest(at, cluster.offset, right)
        kept = right(cluster.offset, cluster.length)
        kind = KEPT if kept else CLUSTER_SEGMENT
        yield PlannedSegment(kind, cluster.offset, cluster.length, None if kept else cluster)
        at = cluster.offset + cluster.length
    yield from _rest(at, new.size, right)


def _rest(begin: int, end: int, right: Callable[[int, int], bool]) -> Iterator[PlannedSegment]:
    for at in range(begin, end, _LONGEST_REST):
        length = min(_LONGEST_REST, end - at)
        yield PlannedSegment(KEPT if right(at, length) else REST, at, length)


def _runs(wanted: Sequence[bytes], old: OldBlocks) -> Iterator[tuple[int, int, int]]:
    places = _places(old)
    at_place = {number: index * PER_CLUSTER * DIGEST for index, number in enumerate(old.numbers)}
    kind, count, first = ZERO, 0, 0
    for digests in wanted:
        for at in range(0, len(digests), DIGEST):
            digest = digests[at : at + DIGEST]
            if digest == NONE:
                one, place = ZERO, 0
            elif kind == OLD and _is_at(digest, first + count, old.digests, at_place):
                count += 1
                continue
            else:
                place = places.get(digest, -1)
                one = OLD if place >= 0 else LITERAL
            if one == kind and kind != OLD:
                count += 1
                continue
            if count:
                yield kind, count, first
            kind, count, first = one, 1, place
    if count:
        yield kind, count, first


def _is_at(digest: bytes, block: int, digests: bytes, at_place: dict[int, int]) -> bool:
    number, inside = divmod(block, PER_CLUSTER)
    start = at_place.get(number)
    return start is not None and digests.startswith(digest, start + inside * DIGEST)


def _places(old: OldBlocks) -> dict[bytes, int]:
    """Where a block with a digest is."""
    found: dict[bytes, int] = {}
    for index, number in enumerate(old.numbers):
        for inside in range(PER_CLUSTER):
            at = (index * PER_CLUSTER + inside) * DIGEST
            found.setdefault(old.digests[at : at + DIGEST], number * PER_CLUSTER + inside)
    return found


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)
