"""Writing to devices of the appliance's, in few calls: each of libguestfs's waits for udev to look at the device again."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from typing import Any

from imagebuild.guest.shell import Shell

_MOST = 200
"""Commands in one line."""
_SECTOR = 512
_PIECES = "/tmp/imagebuild-pieces"  # noqa: S108 - of the appliance


def punch(shell: Shell, device: str, ranges: Iterable[tuple[int, int]]) -> None:
    """Zero these ranges of a device, by the kernel's name (offset and length in bytes, whole sectors), and give them back to the image
    where that is possible.

    fallocate(1) asks a block device for zeros (BLKZEROOUT), so that they are zeros whether or not it gives the blocks back.
    """
    _run(
        shell,
        [
            ("fallocate", "--punch-hole", "--offset", str(at), "--length", str(length), device)
            for at, length in ranges
            if length > 0
        ],
    )


def write(guestfs: Any, shell: Shell, device: str, pieces: Sequence[tuple[int, bytes]]) -> None:
    """Write whole sectors at their offsets to a device, by the kernel's name."""
    if not pieces:
        return
    with tempfile.NamedTemporaryFile(dir=guestfs.get_tmpdir()) as file:
        file.writelines(content for _, content in pieces)
        file.flush()
        guestfs.debug_upload(file.name, _PIECES, 0o600)
    at = 0
    commands = []
    for offset, content in pieces:
        sectors = (f"skip={at // _SECTOR}", f"seek={offset // _SECTOR}", f"count={len(content) // _SECTOR}")
        commands.append(
            ("dd", f"if={_PIECES}", f"of={device}", f"bs={_SECTOR}", *sectors, "conv=notrunc", "status=none")
        )
        at += len(content)
    _run(shell, [*commands, ("rm", _PIECES)])


def _run(shell: Shell, commands: Sequence[Sequence[str]]) -> None:
    for first in range(0, len(commands), _MOST):
        shell.run(*commands[first : first + _MOST])
