"""Small disks and their qcow2 images, made by the product's own writer."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from imagebuild.image.formats import CHUNK, CLUSTER, Compression
from imagebuild.image.qcow2 import Qcow2

BLOCK = 4096


def noise(length: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(length)


def block(seed: int) -> bytes:
    """A block of a disk: zeros for 0, otherwise text or noise."""
    if seed == 0:
        return bytes(BLOCK)
    return noise(BLOCK, seed) if seed % 3 == 0 else (f"the line {seed} of a file\n" * BLOCK).encode()[:BLOCK]


def disk_of(seeds: Sequence[int]) -> bytes:
    """The content of a disk with these blocks, in whole clusters."""
    data = b"".join(map(block, seeds))
    return data.ljust(-(-len(data) // CLUSTER) * CLUSTER, b"\0")


def image(path: Path, content: bytes, compression: Compression = "zstd") -> str:
    """Write the image of a disk, and return its SHA-256."""
    path.unlink(missing_ok=True)
    writer = Qcow2(path, len(content), compression)
    try:
        for at in range(0, len(content), CHUNK):
            writer.add(at, writer.encode(content[at : at + CHUNK]))
        return writer.finish()
    finally:
        writer.close()
