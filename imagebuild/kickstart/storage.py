"""What a kickstart's storage commands put where, as rules look at it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from imagebuild.kickstart.parse import Command, Kickstart

COMMANDS = ("part", "partition", "logvol", "raid", "btrfs", "mount", "stratisfs", "autopart")
FIRMWARE = ("/boot", "/boot/efi", "/boot/uboot", "biosboot", "prepboot", "appleboot")
"""Mount points and kinds that a firmware or a boot loader needs."""
_BUILDING = ("pv.", "raid.", "btrfs.", "stratis.")


class Place(NamedTuple):
    """A mount point (or ``swap``, or what else stands there) and the command that fills it."""

    command: Command
    mount: str

    @property
    def is_swap(self) -> bool:
        kind = self.command.option("--fstype", "--type") if self.command.name != "mount" else None
        return self.mount == "swap" or self.mount.startswith("swap.") or kind == "swap"

    @property
    def is_file_system(self) -> bool:
        """Whether it takes space of its own: a subvolume of btrfs does not."""
        return self.mount.startswith("/") and not self.command.has("--subvol")


def places(kickstart: Kickstart) -> Iterator[Place]:
    """Everything that partitions, logical volumes and the like put somewhere, in the order of the text."""
    for command in kickstart.named(*COMMANDS):
        mount = _mount(command)
        if mount is not None and not mount.startswith(_BUILDING):
            yield Place(command, mount)


def _mount(command: Command) -> str | None:
    """pykickstart's word for it, else the first that is no option: a command that it refused has no data."""
    if command.name == "autopart":
        return None
    made = getattr(command.data, "mountpoint", None) or getattr(command.data, "mount_point", None)
    if isinstance(made, str) and made:
        return made
    plain = [word for word in command.words[1:] if not word.startswith("-")]
    if command.name == "mount":  # mount DEVICE MOUNT
        plain = plain[1:]
    return plain[0] if plain else None
