"""There are several file systems, not counting those that firmware and boot loader need.

By convention there is one: `/`. File systems cannot share free space, and a clone's disk grows only
at its end, so only the last file system can grow. `/boot`, `/boot/efi`, `biosboot` and `prepboot`
are not counted. Put everything on `/`; separate data belongs on a separate disk, which is not part
of the template.
"""

from __future__ import annotations

from collections.abc import Iterator

from pykickstart.constants import AUTOPART_TYPE_BTRFS

from imagebuild.errors import Severity
from imagebuild.kickstart.parsed import Command, Kickstart, Said
from imagebuild.kickstart.rule import KickstartTarget
from imagebuild.kickstart.storage import FIRMWARE, places, without

SEVERITY: Severity = "error"
OPINION = True


def find(kickstart: Kickstart, target: KickstartTarget) -> Iterator[Said]:
    """Every file system except the root's and the firmware's, a second root, and autopart if it may
    create several.
    """
    roots = 0
    for place in places(kickstart):
        roots += place.mount == "/"
        if place.mount == "/" and roots > 1:
            yield Said(place.command.line, "this is a second root file system", "keep one of them")
        elif place.is_file_system and place.mount != "/" and place.mount not in FIRMWARE:
            message = f"{place.mount} is a separate file system"
            yield Said(place.command.line, message, "remove it: then it is a folder in /")
    for command in kickstart.named("autopart"):
        if not command.has("--nohome") and not _is_btrfs(command):
            message = "autopart may create a separate file system for /home"
            yield Said(command.line, message, without(command, "--nohome"))


def _is_btrfs(command: Command) -> bool:
    return command.option("--type") in ("btrfs", AUTOPART_TYPE_BTRFS)  # where /home is a subvolume
