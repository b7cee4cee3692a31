"""Disks with sectors of 4096 bytes, assembled on the host: no tool that is old enough to be
available everywhere creates them."""

from __future__ import annotations

import struct
import subprocess
import uuid
import zlib
from collections.abc import Sequence
from pathlib import Path

ESP, LINUX = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "0fc63daf-8483-4772-8e79-3d69d8477de4"
MIB = 1 << 20


def gpt(parts: Sequence[tuple[str, int, int]], size: int, sector: int) -> tuple[bytes, bytes]:
    """The beginning and the end of a disk of ``size`` bytes with a GPT; ``parts`` are type, start
    and size in bytes."""
    last = size // sector - 1
    entries = b""
    for kind, start, length in parts:
        entries += uuid.UUID(kind).bytes_le + uuid.uuid4().bytes_le
        entries += struct.pack("<QQQ", start // sector, (start + length) // sector - 1, 0) + bytes(72)
    entries = entries.ljust(128 * 128, b"\0")
    table = -(-len(entries) // sector)
    disk = uuid.uuid4().bytes_le

    def header(own: int, other: int, where: int) -> bytes:
        fields = (own, other, 2 + table, last - table - 1)
        head = struct.pack(
            "<8sIIII4Q16sQIII", b"EFI PART", 0x10000, 92, 0, 0, *fields, disk, where, 128, 128, zlib.crc32(entries)
        )
        return (head[:16] + struct.pack("<I", zlib.crc32(head)) + head[20:]).ljust(sector, b"\0")

    mbr = bytearray(sector)
    mbr[446:462] = struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xEE, b"\xff\xff\xff", 1, min(last, 0xFFFFFFFF))
    mbr[510:512] = b"\x55\xaa"
    body = entries.ljust(table * sector, b"\0")
    return bytes(mbr) + header(1, last, 2) + body, body + header(last, 1, last - table)


def mbr(starts: Sequence[int], sector: int) -> bytes:
    """An MBR with Linux partitions that begin at ``starts``, in bytes, each of 16 MiB."""
    entries = b"".join(struct.pack("<B3sB3sII", 0, b"", 0x83, b"", at // sector, 16 * MIB // sector) for at in starts)
    return (bytes(446) + entries).ljust(510, b"\0") + b"\x55\xaa"


def disk_of(path: Path, parts: Sequence[tuple[str, Path]], sector: int = 4096) -> None:
    """A raw disk with a GPT and these file systems, each aligned to a MiB."""
    places, at = [], MIB
    for kind, image in parts:
        places.append((kind, at, image.stat().st_size))
        at += image.stat().st_size
    begin, end = gpt(places, at + MIB, sector)
    with path.open("wb") as disk:
        disk.truncate(at + MIB)
        disk.write(begin)
        disk.seek(at + MIB - len(end))
        disk.write(end)
    for (_, image), (_, place, _) in zip(parts, places, strict=True):
        subprocess.run(
            ["dd", f"if={image}", f"of={path}", "bs=1M", f"seek={place // MIB}", "conv=notrunc,sparse", "status=none"],
            check=True,
        )
