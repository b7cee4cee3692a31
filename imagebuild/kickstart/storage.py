"""The mount points that a kickstart's storage commands define, for the rules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from imagebuild.kickstart.parsed import Command, Kickstart

COMMANDS = ("part", "partition", "logvol", "raid", "btrfs", "mount", "stratisfs", "autopart")
FIRMWARE = ("/boot", "/boot/efi", "/boot/uboot", "biosboot", "prepboot", "appleboot")
"""Mount points and partition types that firmware or a boot loader needs."""
_BUILDING = ("pv.", "raid.", "btrfs.", "stratis.")


class Place(NamedTuple):
    """A mount point (or ``swap``, or another word in its place) and the command that defines it."""

    command: Command
    mount: str

    @property
    def is_swap(self) -> bool:
        kind = self.command.option("--fstype", "--type") if self.command.name != "mount" else None
        return self.mount == "swap" or self.mount.startswith("swap.") or kind == "swap"

    @property
    def is_file_system(self) -> bool:
        """Whether it has its own space: a btrfs subvolume and a tmpfs do not."""
        if self.command.option("--fstype", "--type") == "tmpfs":
            return False
        return self.mount.startswith("/") and not self.command.has("--subvol")


def without(autopart: Command, option: str) -> str:
    """The hint to write ``option`` after autopart, if the syntax has it."""
    own = "define the partitions yourself (part)"
    return f"write autopart {option}, or {own}" if autopart.knows(option) else own


def places(kickstart: Kickstart) -> Iterator[Place]:
    """The mount points of partitions, logical volumes and the like, in the order of the text."""
    for command in kickstart.named(*COMMANDS):
        mount = _mount(command)
        if mount is not None and not mount.startswith(_BUILDING):
            yield Place(command, mount)


def _mount(command: Command) -> str | None:
    """pykickstart's value, else the first word that is not an option: a command that was refused
    has no data.
    """
    if command.name == "autopart":
        return None
    made = getattr(command.data, "mountpoint", None) or getattr(command.data, "mount_point", None)
    if isinstance(made, str) and made:
        return made
    plain = [word for word in command.words[1:] if not word.startswith("-")]
    if command.name == "mount":  # mount DEVICE MOUNT
        plain = plain[1:]
    return plain[0] if plain else None
