"""The blocks that a host has already: those of the disks of older versions."""

import collections
import os
import zlib
from hashlib import blake2b
from typing import Any, Callable, Dict, List, Optional, Tuple

from .clusters import Cluster, UnusableImage, layout
from .codec import CLUSTER, DamagedCluster, Zlib, zstd

BLOCK = 4096
"""File systems place their data at multiples of this, so a file that moved is found again."""
PER_CLUSTER = CLUSTER // BLOCK
DIGEST = 8
"""Bytes of a block's digest. Two blocks of a disk of 100 GiB have the same one with a probability of
1:50,000, and then the digest of the whole file is wrong, and all of it is sent.
"""
NONE = bytes(DIGEST)
"""Stands for a block of zeros."""
_ZEROS = bytes(BLOCK)
_CACHED = 512
"""Decompressed clusters that are kept."""


def codec_of(compression: str) -> Optional[Any]:
    """What compresses like this on this host: a Zlib, a Zstd, or None."""
    return Zlib() if compression == "zlib" else zstd()


def digests(cluster: bytes) -> bytes:
    """The digests of the blocks of a cluster, one after another."""
    found = []
    for at in range(0, CLUSTER, BLOCK):
        block = cluster[at : at + BLOCK]
        found.append(NONE if block == _ZEROS else blake2b(block, digest_size=DIGEST).digest())
    return b"".join(found)


class OldImage:
    """An older version's disk. Takes over the descriptor; raises UnusableImage."""

    def __init__(self, descriptor: int, size: int, most: int) -> None:
        self._descriptor = descriptor
        try:
            found = layout(lambda at, count: os.pread(descriptor, count, at) if at < size else b"", size, most)
        except BaseException:
            os.close(descriptor)
            raise
        codec = codec_of(found.compression)
        if codec is None:
            os.close(descriptor)
            raise UnusableImage("this host cannot decompress it")
        self._codec = codec
        self.clusters: Dict[int, Cluster] = {one.number: one for one in found.clusters}
        self.blocks = -(-found.size // CLUSTER) * PER_CLUSTER
        """Blocks of the disk, with and without data."""

    def content(self, number: int) -> bytes:
        """A cluster's data. Raises DamagedCluster or KeyError if it has none."""
        cluster = self.clusters[number]
        data = os.pread(self._descriptor, cluster.length, cluster.offset)
        content: bytes = self._codec.decompress(data) if cluster.compressed else data
        if len(content) != CLUSTER:
            raise DamagedCluster("the file is cut off")
        return content

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


class OldImages:
    """Some disks, whose blocks are numbered one disk after another."""

    def __init__(self, images: List[OldImage]) -> None:
        self._images: List[Tuple[int, OldImage]] = []
        self.blocks = 0
        for image in images:
            self._images.append((self.blocks, image))
            self.blocks += image.blocks
        self._cache: "collections.OrderedDict[int, bytes]" = collections.OrderedDict()

    def described(self, progress: Callable[[int], None]) -> bytes:
        """For each cluster with data its number, counted over all disks (8 bytes), and its blocks' digests;
        deflated.
        """
        numbers, found, done = [], [], 0
        for base, image in self._images:
            for number in sorted(image.clusters):
                try:
                    found.append(digests(image.content(number)))
                except DamagedCluster:
                    continue
                numbers.append((base // PER_CLUSTER + number).to_bytes(8, "big"))
                done += CLUSTER
                progress(done)
        return zlib.compress(b"".join(numbers + found), 1)

    def cluster(self, number: int) -> bytes:
        """A cluster's data, by its number over all disks. Raises DamagedCluster or KeyError."""
        found = self._cache.pop(number, None)
        if found is None:
            base, image = next(one for one in reversed(self._images) if one[0] // PER_CLUSTER <= number)
            found = image.content(number - base // PER_CLUSTER)
            if len(self._cache) >= _CACHED:
                self._cache.popitem(last=False)
        self._cache[number] = found
        return found

    def close(self) -> None:
        """Close the files."""
        for _, image in self._images:
            image.close()


def reproduces(codec: Any, samples: List[bytes], levels: List[int]) -> Optional[int]:
    """The level at which this host's library makes exactly these compressed clusters, if there is one."""
    for level in levels:
        try:
            if all(codec.compress(codec.decompress(one), level) == one for one in samples):
                return level
        except DamagedCluster:
            return None
    return None
