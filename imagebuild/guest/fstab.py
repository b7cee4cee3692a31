"""Parsing of /etc/fstab (fstab(5)) and /etc/crypttab (crypttab(5)) of untrusted guests. Pure
functions."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LOCAL = frozenset(
    {"ext2", "ext3", "ext4", "xfs", "btrfs", "vfat", "msdos", "auto", "f2fs", "jfs", "nilfs2", "reiserfs", "bcachefs"}
)
_TAGS = ("UUID", "LABEL", "PARTUUID", "PARTLABEL")
_DISK = re.compile(r"/dev/(?P<kind>sd|vd|hd|xvd|dasd)(?P<letters>[a-z]{1,2})(?P<partition>\d*)")
_NUMBERED = re.compile(
    r"/dev/(?P<kind>nvme(?=\d+n1(?:p|$))|(?:mmcblk|pmem)(?=\d+(?:p|$)))(?P<number>\d{1,2})(?:n1)?(?:"
    r"p(?P<partition>\d+))?"
)
_ON_DEMAND = "x-systemd.automount"


@dataclass(frozen=True)
class FstabEntry:
    """One line: what to mount (first field), where, with which type and which options."""

    spec: str
    mountpoint: str
    fstype: str
    options: tuple[str, ...]

    @property
    def on_a_local_disk(self) -> bool:
        """Whether the system mounts a file system of one of its own disks here, at boot or on first
        access."""
        is_device = self.spec.startswith("/dev/") or "=" in self.spec.split("/")[0]
        mounted = "noauto" not in self.options or _ON_DEMAND in self.options
        plain = not {"bind", "rbind"} & set(self.options)
        return is_device and plain and self.fstype in _LOCAL and self.mountpoint.startswith("/") and mounted

    @property
    def may_be_missing(self) -> bool:
        """Whether the system boots without it."""
        return bool({"nofail", "nobootwait", "noauto"} & set(self.options))

    @property
    def subvolume(self) -> str:
        """The option that selects a subvolume of a btrfs, such as ``subvol=root``; empty for the
        default subvolume."""
        chosen = [option for option in self.options if option.startswith(("subvol=", "subvolid="))]
        return ",".join(chosen) if self.fstype == "btrfs" else ""


def parse(text: str) -> list[FstabEntry]:
    """The lines of an fstab, each mountpoint before those inside it. Malformed lines are skipped."""
    found = []
    for line in text.splitlines():
        fields = [_unescaped(field) for field in line.split()]
        if len(fields) >= 3 and not fields[0].startswith("#"):
            options = tuple(fields[3].split(",")) if len(fields) > 3 else ()
            found.append(FstabEntry(fields[0], fields[1], fields[2], options))
    return sorted(found, key=lambda entry: entry.mountpoint.rstrip("/").count("/"))


def crypttab(text: str) -> dict[str, str]:
    """The name under /dev/mapper that each line creates, and the device that it unlocks. Malformed
    lines are skipped."""
    lines = [line.split() for line in text.splitlines()]
    return {fields[0]: fields[1] for fields in lines if len(fields) > 1 and not fields[0].startswith("#")}


def identifier(spec: str) -> tuple[str, str]:
    """How a first field identifies a device: (``UUID``, ``LABEL``, ``PARTUUID``, ``PARTLABEL``,
    ``hardware`` or ``device``, value).

    Kernel names of disks (``/dev/vdb2``, ``/dev/nvme1n1p2``) are returned as libguestfs's names
    (``/dev/sdb2``), which is correct as long as the disks are in the guest's order. A field that
    names a disk by its serial number or by its port is ``hardware``: its value is the number of the
    partition, and empty for the whole disk.
    """
    kind, equals, value = spec.partition("=")
    value = value.strip("\"'")
    if equals and kind in _TAGS:
        return kind, value
    link = re.fullmatch(r"/dev/disk/(by-[a-z-]+)/(.+)", f"/dev/disk/by-id/{value}" if kind == "ID" and equals else spec)
    if link is not None:
        return _by_link(link[1].removeprefix("by-").upper(), _decoded(link[2]), spec)
    if disk := _matched(spec):
        return "device", f"/dev/sd{_letters(disk)}{disk['partition'] or ''}"
    return "device", spec


def kind_of_disk(spec: str) -> str:
    """The kind of disk according to a kernel name, such as ``nvme``; empty if it is not a disk."""
    disk = _matched(spec)
    return disk["kind"] if disk else ""


def _matched(spec: str) -> re.Match[str] | None:
    return _DISK.fullmatch(spec) or _NUMBERED.fullmatch(spec)


def _letters(disk: re.Match[str]) -> str:
    """The letters of a disk: a for the first one, aa for the 27th."""
    if "letters" in disk.groupdict():
        return disk["letters"]
    number = int(disk["number"])
    return chr(ord("a") + number) if number < 26 else chr(ord("a") + number // 26 - 1) + chr(ord("a") + number % 26)


def _by_link(kind: str, name: str, spec: str) -> tuple[str, str]:
    """The target of a udev link, as far as it can be derived from its name."""
    if kind in _TAGS:
        return kind, name
    if kind == "ID" and name.startswith("dm-name-"):
        return "device", f"/dev/mapper/{name.removeprefix('dm-name-')}"
    if kind == "ID" and name.startswith("md-name-"):
        return "device", f"/dev/md/{name.removeprefix('md-name-').rpartition(':')[2]}"
    if kind in ("ID", "PATH") and not name.startswith(("dm-", "md-", "lvm-")):
        part = re.search(r"-part(\d+)$", name)
        return "hardware", part[1] if part else ""
    return "device", spec


def _decoded(name: str) -> str:
    r"""Names of links contain ``\x20`` for a blank, in UTF-8 byte by byte (systemd.unit(5),
    libblkid's ``encode_string``)."""
    raw = re.sub(
        rb"\\x([0-9a-fA-F]{2})", lambda code: bytes([int(code[1], 16)]), name.encode("utf-8", "surrogateescape")
    )
    return raw.decode("utf-8", "surrogateescape")


def _unescaped(field: str) -> str:
    """Decode escapes: fstab contains ``\040`` for a blank."""
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), field)
