"""Features of file systems that are switched off, so that older systems can read the disk: libguestfs's
appliance has the kernel of this host, and the guest's boot loader may be older than its tools.

The table in ``docs/kickstrap.md`` says what reads what.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .command import CommandRunner


class _Switch(NamedTuple):
    """From version ``since`` on, a mkfs knows ``options``. ``ask`` prints its version."""

    ask: tuple[str, ...]
    version: str
    since: tuple[int, int]
    options: tuple[str, ...]


_SWITCHES = {
    # e2fsprogs 1.47 sets them; an older one refuses them
    "ext4": _Switch(("mkfs.ext4", "-V"), r"mke2fs (\d+)\.(\d+)", (1, 47), ("-O", "^orphan_file,^metadata_csum_seed")),
    # xfsprogs 7.2 sets them, which Linux 6.1 does not mount and GRUB 2.12 does not read; 6.1 refuses them
    "xfs": _Switch(("mkfs.xfs", "-V"), r"version (\d+)\.(\d+)", (6, 13), ("-i", "exchange=0", "-n", "parent=0")),
    # btrfs-progs 7.3 sets it, which Linux 5.15 mounts read-only; 6.2 refuses it
    "btrfs": _Switch(("mkfs.btrfs", "--version"), r"v(\d+)\.(\d+)", (6, 14), ("-O", "^block-group-tree")),
}


def options(commands: CommandRunner, fstype: str) -> tuple[str, ...]:
    """The words for this runtime's mkfs of ``fstype``; none for a version that does not know them."""
    return words(fstype, version(commands, fstype))


def version(commands: CommandRunner, fstype: str) -> str:
    """What this runtime's mkfs of ``fstype`` says of itself; nothing if there is no switch for it."""
    switch = _SWITCHES.get(fstype)
    return commands.run(list(switch.ask), check=False).output if switch else ""


def asks(fstype: str) -> tuple[str, ...]:
    """The command that prints the version of the mkfs of ``fstype``."""
    return _SWITCHES[fstype].ask


def words(fstype: str, printed: str) -> tuple[str, ...]:
    """The words for a mkfs of ``fstype`` that has printed this as its version."""
    switch = _SWITCHES.get(fstype)
    found = re.search(switch.version, printed) if switch else None
    return switch.options if switch and found and (int(found[1]), int(found[2])) >= switch.since else ()
