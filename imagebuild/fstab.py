"""Reading /etc/fstab (fstab(5)) and /etc/crypttab (crypttab(5)): pure, for guests whose disk somebody else wrote."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LOCAL = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "vfat", "msdos", "auto"})
_BY = {"by-uuid": "UUID", "by-label": "LABEL", "by-partuuid": "PARTUUID", "by-partlabel": "PARTLABEL"}


@dataclass(frozen=True)
class Entry:
    """One line: what to mount (first field), where, as which type, with which options."""

    spec: str
    mountpoint: str
    fstype: str
    options: tuple[str, ...]

    @property
    def on_a_local_disk(self) -> bool:
        """Whether the system mounts a file system of one of its own disks here at boot."""
        is_device = self.spec.startswith("/dev/") or "=" in self.spec.split("/")[0]
        return is_device and self.fstype in _LOCAL and self.mountpoint.startswith("/") and "noauto" not in self.options

    @property
    def subvolume(self) -> str:
        """The option that chooses a subvolume of a btrfs, such as ``subvol=root``; empty for the default one."""
        chosen = [option for option in self.options if option.startswith(("subvol=", "subvolid="))]
        return ",".join(chosen) if self.fstype == "btrfs" else ""


def parse(text: str) -> list[Entry]:
    """The lines of an fstab, outer mountpoints before what is mounted inside them. Broken lines are left out."""
    found = []
    for line in text.splitlines():
        fields = [_unescaped(field) for field in line.split()]
        if len(fields) >= 3 and not fields[0].startswith("#"):
            options = tuple(fields[3].split(",")) if len(fields) > 3 else ()
            found.append(Entry(fields[0], fields[1], fields[2], options))
    return sorted(found, key=lambda entry: entry.mountpoint.rstrip("/").count("/"))


def crypttab(text: str) -> dict[str, str]:
    """The name under /dev/mapper of what each line opens, and the device it is on. Broken lines are left out."""
    lines = [line.split() for line in text.splitlines()]
    return {fields[0]: fields[1] for fields in lines if len(fields) > 1 and not fields[0].startswith("#")}


def identifier(spec: str) -> tuple[str, str]:
    """What a first field identifies a device by: (``UUID``, ``LABEL``, ``PARTUUID``, ``PARTLABEL`` or ``device``, value).

    Kernel names of disks (``/dev/vdb2``) are given as libguestfs has them (``/dev/sdb2``), which is right as long as the
    disks come in the guest's order.
    """
    kind, equals, value = spec.partition("=")
    if equals and kind in _BY.values():
        return kind, value.strip("\"'")
    if link := re.fullmatch(r"/dev/disk/(by-[a-z]+)/(.+)", spec):
        if link[1] in _BY:
            return _BY[link[1]], link[2]
    elif disk := re.fullmatch(r"/dev/(?:[vsh]|xv)d([a-z]\d*)", spec):
        return "device", f"/dev/sd{disk[1]}"
    return "device", spec


def _unescaped(field: str) -> str:
    """fstab writes a blank as ``\\040``."""
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), field)
