"""Writing to devices of the appliance, in few calls: each libguestfs call waits for udev to inspect
the device again."""

from __future__ import annotations

import shlex
import tempfile
from base64 import b64decode
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from imagebuild.guest.shell import Shell

_MOST = 100
"""The maximum number of commands in one line."""
_READ = 2 << 20
"""The number of bytes that are read at a time: a libguestfs message holds less than 4 MiB, and the
data is base64."""
_SECTOR = 512
_PIECES = "/tmp/imagebuild-pieces"  # noqa: S108 - of the appliance


def punch(shell: Shell, device: str, ranges: Iterable[tuple[int, int]]) -> None:
    """Zero these ranges of a device, by the kernel's name (offset and length in bytes, whole
    sectors), and deallocate them in the image where possible.

    fallocate(1) requests zeros from a block device (BLKZEROOUT). The file of the image stores them
    as allocated zeros if the disk does not guarantee that discarded blocks read as zeros, and
    QEMU's disk does not: therefore a discard follows. dm-crypt cannot produce zeros without writing
    them, and after a discard nothing there can be decrypted.
    """
    lines = []
    for at, length in ranges:
        if length > 0:
            where = f"--offset {at} --length {length} {shlex.quote(device)}"
            discard = f"blkdiscard --force {where} 2>/dev/null"
            lines.append(
                f"if fallocate --punch-hole {where} 2>/dev/null; then {discard} || :; "
                f"else {discard} || fallocate --zero-range {where}; fi"
            )
    for first in range(0, len(lines), _MOST):
        shell.line(" && ".join(lines[first : first + _MOST]))


def read(shell: Shell, device: str, ranges: Sequence[tuple[int, int]]) -> Iterator[bytes]:
    """The contents of these ranges of a device, by the kernel's name (offset and length in bytes)."""
    parts = [(at, begin, min(_READ, length - begin)) for at, length in ranges for begin in range(0, length, _READ)]
    whole = bytearray()
    while parts:
        some: list[tuple[int, int, int]] = []
        while parts and len(some) < _MOST and sum(size for _, _, size in some) + parts[0][2] <= _READ:
            some.append(parts.pop(0))
        dd = f"dd if={shlex.quote(device)} iflag=skip_bytes,count_bytes bs=256K status=none"
        lines = "; ".join(f"{dd} skip={at + begin} count={size}" for at, begin, size in some)
        whole += b64decode(shell.line(f"{{ {lines}; }} | base64 -w0"))
    done = 0
    for _, length in ranges:
        yield bytes(whole[done : done + length])
        done += length


def write(guestfs: Any, shell: Shell, device: str, pieces: Sequence[tuple[int, bytes]]) -> None:
    """Write whole sectors at their offsets to a device, by the kernel's name."""
    if not pieces:
        return
    with tempfile.NamedTemporaryFile(dir=guestfs.get_tmpdir()) as file:
        file.writelines(content for _, content in pieces)
        file.flush()
        guestfs.debug_upload(file.name, _PIECES, 0o600)
    at = 0
    commands: list[Sequence[str]] = []
    for offset, content in pieces:
        sectors = (f"skip={at // _SECTOR}", f"seek={offset // _SECTOR}", f"count={len(content) // _SECTOR}")
        commands.append(
            ("dd", f"if={_PIECES}", f"of={device}", f"bs={_SECTOR}", *sectors, "conv=notrunc", "status=none")
        )
        at += len(content)
    commands.append(("rm", _PIECES))
    for first in range(0, len(commands), _MOST):
        shell.run(*commands[first : first + _MOST])
