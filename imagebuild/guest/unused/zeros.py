"""Zeros on parts of a device of the appliance's."""

from __future__ import annotations

from collections.abc import Iterable

from imagebuild.guest.shell import Shell

_MOST = 200
"""Ranges in one command line."""


def punch(shell: Shell, device: str, ranges: Iterable[tuple[int, int]]) -> None:
    """Zero these ranges of a device, by the kernel's name, (offset and length in bytes, whole sectors), and give them back to the image where that is possible.

    fallocate(1) asks a block device for zeros (BLKZEROOUT), so that they are zeros whether or not it gives the blocks back.
    """
    todo = [(at, length) for at, length in ranges if length > 0]
    for first in range(0, len(todo), _MOST):
        shell.run(
            *(
                ("fallocate", "--punch-hole", "--offset", str(at), "--length", str(length), device)
                for at, length in todo[first : first + _MOST]
            ),
        )
