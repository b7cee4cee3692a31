"""Makes a file from blocks that the host has and those that are sent.

The plan is made by imagebuild.publish.delta, which says what it consists of.
"""

import collections
import os
import zlib
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Callable, Deque, Iterator, List, NamedTuple, Optional, Tuple

from .codec import CLUSTER, DamagedCluster
from .oldimages import BLOCK, PER_CLUSTER, OldImages

CLUSTER_SEGMENT, REST, KEPT = 0, 1, 2
"""Kinds of segments: a cluster of the disk, other bytes, bytes that are right already."""
ZERO, LITERAL, OLD = 0, 1, 2
"""Kinds of runs of blocks: zeros, sent, and those of older versions."""
KINDS = 3
_AHEAD = 64
"""Clusters that are compressed while others are collected."""
_LARGEST = 1 << 30


class BadPlan(Exception):
    """A plan makes no sense."""


class RebuildPlan(NamedTuple):
    """Segments of the file as (kind, length), runs of blocks as (kind, count, first old block), and the
    CRC-32 of each cluster as it is stored.
    """

    segments: List[Tuple[int, int]]
    runs: List[Tuple[int, int, int]]
    checks: List[int]


def unpacked(data: bytes, size: int) -> RebuildPlan:
    """The plan of a file of ``size`` bytes. Raises BadPlan."""
    try:
        inflater = zlib.decompressobj()
        text = inflater.decompress(data, _LARGEST)
        numbers = _numbers(text)
        segments = [divmod(next(numbers), KINDS)[::-1] for _ in range(next(numbers))]
        runs, expected = [], 0
        for _ in range(next(numbers)):
            count, kind = divmod(next(numbers), KINDS)
            if kind == OLD:
                step = next(numbers)
                expected += -(step + 1 >> 1) if step & 1 else step >> 1
            runs.append((kind, count, expected))
            expected += count if kind == OLD else 0
        checks = list(numbers)
    except (zlib.error, StopIteration):
        raise BadPlan("it is cut off") from None
    clusters = sum(kind == CLUSTER_SEGMENT for kind, _ in segments)
    if sum(length for _, length in segments) != size or len(checks) != clusters:
        raise BadPlan("its lengths contradict each other")
    if sum(count for _, count, _ in runs) != clusters * PER_CLUSTER:
        raise BadPlan("it has not the blocks of its clusters")
    return RebuildPlan(segments, runs, checks)


def _numbers(text: bytes) -> Iterator[int]:
    value = shift = 0
    for byte in text:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            yield value
            value = shift = 0


class Blocks:
    """The content of clusters, in the plan's order. ``literal`` returns that many bytes of those sent."""

    def __init__(self, runs: List[Tuple[int, int, int]], olds: OldImages, literal: Callable[[int], bytes]) -> None:
        self._runs = iter(runs)
        self._run = (ZERO, 0, 0)
        self._olds = olds
        self._literal = literal

    def cluster(self) -> Optional[bytes]:
        """The next cluster; None if an old one is damaged."""
        parts, missing, damaged = [], PER_CLUSTER, False
        while missing:
            while not self._run[1]:
                self._run = next(self._runs)
            kind, count, first = self._run
            some = min(count, missing)
            if kind == OLD:
                some = min(some, PER_CLUSTER - first % PER_CLUSTER)
                try:
                    parts.append(self._old(first, some))
                except (DamagedCluster, KeyError):
                    damaged = True
            else:
                parts.append(self._literal(some * BLOCK) if kind == LITERAL else bytes(some * BLOCK))
            self._run = (kind, count - some, first + some)
            missing -= some
        return None if damaged else b"".join(parts)

    def _old(self, first: int, count: int) -> bytes:
        if not 0 <= first < self._olds.blocks:
            raise KeyError(first)
        number, at = divmod(first, PER_CLUSTER)
        content = self._olds.cluster(number)
        return content[at * BLOCK : (at + count) * BLOCK]


def rebuild(
    descriptor: int,
    plan: RebuildPlan,
    blocks: Blocks,
    rest: Callable[[int], bytes],
    squeeze: Callable[[bytes], bytes],
    right: Callable[[int], None],
    written: Callable[[int], None],
) -> List[int]:
    """Write the file, and return the numbers of the segments that could not be made.

    ``rest`` returns so many bytes that were sent. ``right`` is called with an offset before which all is
    right, ``written`` with what has been done.
    """
    wrong: List[int] = []
    waiting: Deque[Tuple[int, int, int, Any]] = collections.deque()
    checks = iter(plan.checks)
    with ThreadPoolExecutor(max(1, min(4, os.cpu_count() or 1))) as pool:

        def store() -> None:
            number, at, length, future = waiting.popleft()
            data = future.result() if isinstance(future, Future) else future
            if data is None:
                wrong.append(number)
            else:
                _write(descriptor, at, data)
            if not wrong:
                right(at + length)
            written(at + length)

        at = 0
        for number, (kind, length) in enumerate(plan.segments):
            if kind == CLUSTER_SEGMENT:
                made = pool.submit(_stored, blocks.cluster(), length, next(checks), squeeze)
                waiting.append((number, at, length, made))
            elif kind == REST:
                waiting.append((number, at, length, rest(length)))
            if len(waiting) > _AHEAD:
                store()
            at += length
        while waiting:
            store()
    return wrong


def _stored(content: Optional[bytes], length: int, check: int, squeeze: Callable[[bytes], bytes]) -> Optional[bytes]:
    """A cluster as the file has it; None if it comes out in another way here."""
    if content is None:
        return None
    try:
        data = content if length == CLUSTER else squeeze(content)
    except DamagedCluster:
        return None
    return data if len(data) == length and zlib.crc32(data) & 0xFFFFFFFF == check else None


def _write(descriptor: int, offset: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        count = os.pwrite(descriptor, view, offset)
        view, offset = view[count:], offset + count
