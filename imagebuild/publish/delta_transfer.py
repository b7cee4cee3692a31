"""What crosses the connection: pieces of a file that a host does not have, or a plan and its blocks."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO

import zstandard

from imagebuild.errors import ImageBuildError
from imagebuild.image.qcow2 import ZLIB_LEVEL, ZSTD_LEVEL
from imagebuild.log import logger
from imagebuild.publish.agent.codec import CLUSTER, Zlib
from imagebuild.publish.agent_channel import Channel
from imagebuild.publish.delta import DeltaPlan, OldBlocks, planned
from imagebuild.publish.disk_map import MOST_CLUSTERS, DiskMap, StoredCluster

_TOGETHER = 4 << 20
"""Bytes of blocks that are compressed together."""
_LEVEL = 9
"""For what is sent; the host only decompresses it."""
_MOST_OLDS = 2
"""Older versions whose blocks are used."""
_SAMPLES = 4
_SAMPLE = range(8 << 10, 48 << 10)
"""Lengths of clusters that show what a library makes of them."""
_OLD_LEVELS = (3,)
"""Levels of earlier versions of imagebuild."""
_GAIN = 0.9
"""A file is sent as a whole if more than this share of it would have to be sent anyway."""
_DIGEST = hashlib.sha256().digest_size


@dataclass(frozen=True)
class Pieces:
    """What a host has of a file: the SHA-256 of each piece of ``length`` bytes, one after another."""

    length: int
    digests: bytes

    def right(self, file: IO[bytes], size: int) -> frozenset[int]:
        """The numbers of the pieces that are as in ``file``, which is read as far as necessary."""
        found = set()
        for number in range(len(self.digests) // _DIGEST):
            at = number * self.length
            there = self.digests[number * _DIGEST : (number + 1) * _DIGEST]
            if hashlib.sha256(read_exactly(file, at, min(self.length, size - at))).digest() == there:
                found.add(number)
        return frozenset(found)


def read_exactly(file: IO[bytes], offset: int, length: int) -> bytes:
    """Bytes of an artifact. Raises ImageBuildError if it has become shorter."""
    file.seek(offset)
    data = file.read(length)
    if len(data) < length:
        raise ImageBuildError(f"{file.name} became shorter while it was sent", "build it again")
    return data


def rebuilt_from_olds(
    channel: Channel,
    file: IO[bytes],
    disk: DiskMap,
    olds: Sequence[str],
    right: Callable[[int, int], bool],
    progress: Callable[[int], None],
) -> bool:
    """Make a prepared file from the older versions ``olds`` that the host has; False if that is not
    possible, or saves nothing: then nothing was written.

    ``right`` says of an offset and a length whether the host has these bytes already.
    """
    levels = [ZLIB_LEVEL] if disk.compression == "zlib" else [ZSTD_LEVEL, *_OLD_LEVELS]
    samples = [read_exactly(file, one.offset, one.length) for one in _samples(disk)]
    request = {
        "request": "olds", "names": list(olds[:_MOST_OLDS]), "most": MOST_CLUSTERS,
        "compression": disk.compression, "levels": levels, "lengths": list(map(len, samples)),
    }  # fmt: skip
    header, body = channel.call(request, b"".join(samples))
    level = header["level"]
    if level is None:
        logger.info("the host's library compresses in another way: the file is sent as a whole")
        return False
    try:
        old = OldBlocks.decoded(body, MOST_CLUSTERS * _MOST_OLDS)
    except ValueError as error:
        logger.info("the file is sent as a whole: %s", error)
        return False
    plan = planned(disk, old, right)
    if plan.sent > _GAIN * len(disk.clusters) * CLUSTER:
        return False
    wrong = _carried_out(channel, file, disk, plan, int(level), progress)
    for number in wrong:
        segment = plan.segments[number]
        channel.send({"request": "data", "offset": segment.offset}, read_exactly(file, segment.offset, segment.length))
    return True


def _samples(disk: DiskMap) -> list[StoredCluster]:
    fitting = [one for one in disk.clusters if one.length in _SAMPLE]
    return fitting[:: max(1, len(fitting) // _SAMPLES)][:_SAMPLES]


def _carried_out(
    channel: Channel, file: IO[bytes], disk: DiskMap, plan: DeltaPlan, level: int, progress: Callable[[int], None]
) -> Sequence[int]:
    """Returns the segments that the host could not make."""

    def content(cluster: StoredCluster) -> bytes:
        data = read_exactly(file, cluster.offset, cluster.length)
        if cluster.length == CLUSTER:
            return data
        return Zlib().decompress(data) if disk.compression == "zlib" else zstandard.decompress(data, CLUSTER)

    channel.send({"request": "rebuild", "compression": disk.compression, "level": level}, plan.packed())
    literals = plan.literals(content, lambda at, length: read_exactly(file, at, length))
    for data in _joined(literals, _TOGETHER):
        body = Zlib().compress(data, _LEVEL) if disk.compression == "zlib" else zstandard.compress(data, _LEVEL)
        channel.send({"request": "literal", "length": len(data)}, body, progress)
    _, wrong = channel.reply(progress)
    numbers = struct.unpack(f">{len(wrong) // 4}I", wrong)
    if any(number >= len(plan.segments) for number in numbers):
        raise ImageBuildError("the agent names a part that the file does not have")
    if numbers:
        logger.info("%d of %d clusters are sent as they are", len(numbers), len(disk.clusters))
    return sorted(numbers)


def _joined(parts: Iterable[bytes], length: int) -> Iterator[bytes]:
    """The same bytes in portions of at least ``length``, but for the last one."""
    some: list[bytes] = []
    count = 0
    for part in parts:
        some.append(part)
        count += len(part)
        if count >= length:
            yield b"".join(some)
            some, count = [], 0
    if some:
        yield b"".join(some)
