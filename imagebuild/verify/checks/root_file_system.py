"""There is one root file system, and nothing else on the disks is mounted.

The partition that UEFI boots from, at ``/boot/efi``, and the mount points in ``further`` are allowed.
The subvolumes of one btrfs are one file system. With ``grown``, the root file system fills its disk:
the partition reaches to the end of the disk, and the file system, with LVM or LUKS below it or not,
to the end of its partition. Up to 5 % and 64 MiB are left to metadata.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from imagebuild.verify import check, printed
from imagebuild.verify.check import NotCheckable, Printed

PROBES = {
    "mounts": "cat /proc/self/mountinfo",
    "devices": (
        'for d in /sys/class/block/*; do r=$(readlink -f "$d"); p=${r%/*}; '
        'echo "${d##*/} $(cat "$d/dev") $(cat "$d/size") $(cat "$d/start" 2>/dev/null || echo -) '
        '$([ -e "$d/partition" ] && echo "${p##*/}" || echo -) $(cat "$d/dm/name" 2>/dev/null || echo -) '
        '$(ls "$d/slaves" 2>/dev/null | tr "\\n" ",")"; done'
    ),
    "root": "stat -f -c '%S %b' /",
}
_NO_DISKS = ("loop", "zram", "ram", "sr", "fd")
_MIB = 1 << 20


class Params(check.Params):
    grown: bool = Field(default=False, description="whether the root file system must fill its disk")
    further: tuple[Annotated[str, Field(pattern=r"^/\S+$")], ...] = Field(
        default=(), description="mount points of other file systems on the disks that are allowed, such as /boot"
    )


@dataclass(frozen=True)
class _Device:
    """A block device of sysfs: sizes in bytes; ``disk`` is that of a partition."""

    name: str
    number: str
    size: int
    start: int
    disk: str
    mapped: str
    slaves: tuple[str, ...]


@dataclass(frozen=True)
class _Mount:
    point: str
    kind: str
    source: str
    device: _Device | None


def judge(seen: Mapping[str, Printed], params: Params) -> Iterator[str]:
    devices = _devices(printed.lines(seen, "devices", "the list of disks"))
    mounts = _mounts(printed.lines(seen, "mounts", "the list of mounts"), devices)
    # Of several mounts at one place, the last one is seen.
    root = next((mount for mount in reversed(mounts) if mount.point == "/"), None)
    if root is None:
        raise printed.unreadable("the list of mounts")
    if root.kind == "zfs":
        raise NotCheckable("the root file system is ZFS, whose disks are not listed by the kernel")
    if root.device is None:
        yield f"the root file system is not on a disk: it is {root.kind} from {root.source}"
        return
    allowed = ("/", "/boot/efi", *params.further)
    reported = set()
    for mount in mounts:
        name = mount.device.name if mount.device else root.device.name
        if name != root.device.name and mount.point not in allowed and mount.point not in reported:
            reported.add(mount.point)
            yield f"another file system is mounted at {mount.point}: {mount.kind} on {name}"
    if params.grown:
        yield from _not_grown(
            root.device, devices, _size(printed.text(seen, "root", "the size of the root file system"))
        )


def _devices(lines: list[str]) -> dict[str, _Device]:
    found = {}
    for line in lines:
        words = line.split()
        if len(words) not in (6, 7) or printed.number(words[2]) is None:
            continue
        name, number, size, start, disk, mapped, *slaves = words
        found[name] = _Device(
            name=name,
            number=number,
            size=int(size) * 512,
            start=(printed.number(start) or 0) * 512,
            disk="" if disk == "-" else disk,
            mapped=mapped,
            slaves=tuple(one for one in (slaves[0].split(",") if slaves else []) if one),
        )
    if not found:
        raise printed.unreadable("the list of disks")
    return found


def _mounts(lines: list[str], devices: dict[str, _Device]) -> list[_Mount]:
    """The mounts of /proc/self/mountinfo, see proc_pid_mountinfo(5); ``device`` is None for those
    that are not on a disk."""
    found = []
    for line in lines:
        fixed, separator, rest = line.partition(" - ")
        words, kinds = fixed.split(), rest.split()
        if separator and len(words) >= 6 and len(kinds) >= 2:
            device = _device(words[2], kinds[1], devices)
            found.append(_Mount(words[4].replace("\\040", " "), kinds[0], kinds[1], device))
    return found


def _device(number: str, source: str, devices: dict[str, _Device]) -> _Device | None:
    """The device of a mount: by its number, or by its source for btrfs, which has a number of its
    own."""
    name = source.removeprefix("/dev/mapper/") if source.startswith("/dev/mapper/") else source.rpartition("/")[2]
    for device in devices.values():
        by_source = source.startswith("/dev/") and number.startswith("0:") and name in (device.name, device.mapped)
        if (device.number == number or by_source) and not device.name.startswith(_NO_DISKS):
            return device
    return None


def _size(text: str) -> int:
    match [printed.number(word) for word in text.split()]:
        case [int(block), int(blocks)] if block * blocks > 0:
            return block * blocks
    raise printed.unreadable("the size of the root file system")


def _not_grown(device: _Device, devices: dict[str, _Device], size: int) -> Iterator[str]:
    """What does not fill what is below it, from the file system down to the disk."""
    if _much_less(size, device.size):
        yield f"the root file system has {_mib(size)} of the {_mib(device.size)} of {device.name}"
    below = [devices[name] for name in device.slaves if name in devices]
    # The size of a RAID depends on its level.
    if below and device.name.startswith("dm-") and _much_less(device.size, sum(one.size for one in below)):
        names = " and ".join(one.name for one in below)
        yield f"{device.mapped} has {_mib(device.size)} of the {_mib(sum(one.size for one in below))} of {names}"
    for one in below:
        yield from _not_grown(one, devices, one.size)
    if device.disk in devices:
        disk = devices[device.disk]
        if _much_less(device.start + device.size, disk.size):
            end = _mib(device.start + device.size)
            yield f"the partition {device.name} ends at {end} of the {_mib(disk.size)} of {disk.name}"


def _much_less(size: int, room: int) -> bool:
    return size < room - room // 20 - 64 * _MIB


def _mib(size: int) -> str:
    return f"{size // _MIB} MiB"
