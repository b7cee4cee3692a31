"""LZ4's legacy frame, the only one of LZ4's that the kernel reads (lib/decompress_unlz4.c): 8 MiB
blocks, each behind its size."""

from __future__ import annotations

from collections.abc import Iterator

import lz4.block

MAGIC = b"\x02\x21\x4c\x18"
BLOCK = 8 << 20
"""Bytes that a block holds, but for the last one."""
_LARGEST = BLOCK + BLOCK // 255 + 16
"""Bytes that a block takes if it cannot be compressed."""


def blocks(content: bytes) -> Iterator[tuple[bytes, int]]:
    """The plain data of each block, and where it ends; what follows the last one is no part of the
    frame.

    Another magic number begins a frame that goes on. Raises EOFError for a block that is cut off,
    and lz4.block.LZ4BlockError.
    """
    at = len(MAGIC)
    while at + 4 <= len(content):
        size = int.from_bytes(content[at : at + 4], "little")
        at += 4
        if content[at - 4 : at] == MAGIC:
            continue
        if not 0 < size <= _LARGEST:
            return
        block = content[at : at + size]
        if len(block) < size:
            raise EOFError("it ends too early")
        at += size
        yield lz4.block.decompress(block, uncompressed_size=BLOCK), at


def pack(data: bytes) -> bytes:
    """A frame with ``data``."""
    packed = [MAGIC]
    for at in range(0, len(data), BLOCK):
        block = lz4.block.compress(data[at : at + BLOCK], mode="high_compression", compression=9, store_size=False)
        packed += [len(block).to_bytes(4, "little"), block]
    return b"".join(packed)
