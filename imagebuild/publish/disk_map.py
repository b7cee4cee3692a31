"""What an artifact consists of, for a delta: where its clusters are in the file, and what is in them.

Strict: the file is one that we wrote, or no delta is made of it.
"""

from __future__ import annotations

import threading
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO

import zstandard

from imagebuild.publish.agent.clusters import Cluster, UnusableImage, layout
from imagebuild.publish.agent.codec import CLUSTER, DamagedCluster, Zlib
from imagebuild.publish.agent.oldimages import digests

MOST_CLUSTERS = 1 << 17
"""8 GiB of data: the digests of so many blocks fit into some hundred MiB of memory."""


@dataclass(frozen=True)
class StoredCluster:
    """A cluster of the disk: where the file has it (offset and length, in bytes), the CRC-32 of that,
    and the digests of its blocks.
    """

    number: int
    offset: int
    length: int
    check: int
    digests: bytes


@dataclass(frozen=True)
class DiskMap:
    """A file and its clusters in the order of the file; ``compression`` is ``zlib`` or ``zstd``."""

    path: Path
    size: int
    compression: str
    clusters: tuple[StoredCluster, ...]


_lock = threading.Lock()


def mapped(path: Path, size: int, sha256: str) -> DiskMap | None:
    """The map of an artifact with this digest; None if it is not a qcow2 as we write them. Several
    hosts get the same file: it is read once.
    """
    with _lock:
        return _mapped(path, size, sha256)


@lru_cache(maxsize=2)
def _mapped(path: Path, size: int, _sha256: str) -> DiskMap | None:
    def read(at: int, count: int) -> bytes:
        file.seek(at)
        return file.read(count)

    with path.open("rb") as file:
        try:
            found = layout(read, size, MOST_CLUSTERS)
            clusters = [_stored(file, one, found.compression) for one in found.clusters]
        except (UnusableImage, DamagedCluster, zstandard.ZstdError):
            return None
    clusters.sort(key=lambda one: one.offset)
    end = 0
    for one in clusters:
        if one.offset < end or one.length > CLUSTER:
            return None
        end = one.offset + one.length
    return DiskMap(path, size, found.compression, tuple(clusters))


def _stored(file: IO[bytes], cluster: Cluster, compression: str) -> StoredCluster:
    file.seek(cluster.offset)
    data = file.read(cluster.length)
    content = data
    if cluster.compressed:
        content, data = _decompressed(data, compression)
    if len(content) != CLUSTER:
        raise DamagedCluster("a cluster has another length")
    return StoredCluster(cluster.number, cluster.offset, len(data), zlib.crc32(data), digests(content))


def _decompressed(data: bytes, compression: str) -> tuple[bytes, bytes]:
    """The content, and ``data`` without what does not belong to it."""
    if compression == "zlib":
        return Zlib().decompress(data), _exact(data)
    inflater = zstandard.ZstdDecompressor().decompressobj()
    content = inflater.decompress(data)
    return content, data[: len(data) - len(inflater.unused_data)]


def _exact(data: bytes) -> bytes:
    inflater = zlib.decompressobj(-12)
    inflater.decompress(data)
    return data[: len(data) - len(inflater.unused_data)]
