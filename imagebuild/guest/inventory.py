"""The contents of a guest's disks, as detected by the appliance's kernel and udev: one command
replaces many libguestfs calls.

For disks and partitions only. If there are volumes or arrays, libguestfs and LVM know more.
"""

from __future__ import annotations

import re
from string import ascii_lowercase
from typing import Any

from imagebuild.guest.shell import LIST_DISKS, Shell, disks

_LOOK = (
    f"udevadm settle; {LIST_DISKS}; "
    "grep -sHE '^[0-9]+:[0-9]+$|^E:ID_FS_TYPE=| / / ' /sys/class/block/*/dev /proc/self/mountinfo /run/udev/data/b*"
)
_NUMBER = re.compile(r"^/sys/class/block/([^/]+)/dev:(\d+:\d+)$", re.MULTILINE)
_ROOT = re.compile(r"^/proc/self/mountinfo:\d+ \d+ (\d+:\d+) / / ", re.MULTILINE)
_TYPE = re.compile(r"^/run/udev/data/b(\d+:\d+):E:ID_FS_TYPE=(.*)$", re.MULTILINE)
_NEVER_A_GUESTS = re.compile(r"loop\d+|ram\d+|zram\d+|sr\d+|fd\d+")
_PARTITION = re.compile(r"(sd[a-z]+)(\d+)")
_VOLUMES = re.compile(r"_raid_member|LVM._member|crypto_LUKS|bcache")


def plain(guestfs: Any) -> dict[str, str] | None:
    """blkid's name of what is on each partition and each disk without partitions, with libguestfs's
    names and in its order; empty if udev does not know it. None if there is more than disks and
    partitions."""
    return parsed(Shell(guestfs).line(_LOOK))


def parsed(output: str) -> dict[str, str] | None:
    """The same, from the output of the command."""
    numbers = {name: number for name, number in _NUMBER.findall(output) if not _NEVER_A_GUESTS.fullmatch(name)}
    types = dict(_TYPE.findall(output))
    root = next(iter(_ROOT.findall(output)), "")
    own = [name for name in disks(output) if numbers.get(name) != root]
    matches = [found for name in numbers if (found := _PARTITION.fullmatch(name)) and found[1] in own]
    partitions = sorted((own.index(found[1]), int(found[2]), found[0]) for found in matches)
    others = set(numbers) - set(own) - {name for _, _, name in partitions}
    if len(others) != 1 or numbers[others.pop()] != root or len(own) > len(ascii_lowercase):
        return None
    if any(_VOLUMES.search(type_) for type_ in types.values()):
        return None
    divided = {at for at, _, _ in partitions}
    seen = {f"/dev/sd{ascii_lowercase[at]}{number}": types.get(numbers[name], "") for at, number, name in partitions}
    return seen | {
        f"/dev/sd{ascii_lowercase[at]}": types.get(numbers[name], "")
        for at, name in enumerate(own)
        if at not in divided
    }
