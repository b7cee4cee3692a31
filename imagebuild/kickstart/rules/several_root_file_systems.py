"""More than one file system, beside those that firmware and boot loader need.

The house has one: `/`. Space that is divided among several cannot be lent from one to the other, and a clone's disk grows
at one end only, so only the last of them can grow. `/boot`, `/boot/efi`, `biosboot` and `prepboot` are not counted. Put
everything on `/`; data of its own belongs on a disk of its own, which is no part of the template.
"""

from __future__ import annotations

from collections.abc import Iterator

from imagebuild.errors import Severity
from imagebuild.kickstart.parse import Kickstart, Said
from imagebuild.kickstart.rule import KickstartTarget
from imagebuild.kickstart.storage import FIRMWARE, places

SEVERITY: Severity = "error"


def find(kickstart: Kickstart, target: KickstartTarget) -> Iterator[Said]:
    """Every file system but the root's and the firmware's, and a second root; also where autopart makes several."""
    roots = 0
    for place in places(kickstart):
        roots += place.mount == "/"
        if place.mount == "/" and roots > 1:
            yield Said(place.command.line, "this is a second root file system", "keep one of them")
        elif place.is_file_system and place.mount != "/" and place.mount not in FIRMWARE:
            message = f"{place.mount} is a file system beside the root file system"
            yield Said(place.command.line, message, "leave it out: it is then a folder of /")
    for command in kickstart.named("autopart"):
        if not command.has("--nohome") and command.option("--type") != "btrfs":
            message = "autopart may make a file system for /home"
            yield Said(command.line, message, "write autopart --nohome, or the partitions themselves")
