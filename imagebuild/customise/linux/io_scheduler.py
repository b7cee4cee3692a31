"""The udev rule that sets the I/O scheduler of disks; the operation and the kickstart write the
same rule."""

from __future__ import annotations

from typing import Literal

Disks = Literal["all", "virtio", "scsi", "nvme", "xen"]
_NAMES: dict[Disks, str] = {
    "all": "sd*|vd*|xvd*|nvme*",
    "virtio": "vd*",
    "scsi": "sd*",
    "nvme": "nvme*",
    "xen": "xvd*",
}


def path(disks: Disks = "all", *, rotational: bool | None = None) -> str:
    """The path of the rule for these disks. The later of two rules takes precedence, so the more
    specific one has the higher number."""
    kind = {None: "", True: "-rotational", False: "-solid-state"}[rotational]
    bus = "" if disks == "all" else f"-{disks}"
    number = 60 + (disks != "all") + (rotational is not None)
    return f"/etc/udev/rules.d/{number}-imagebuild-scheduler{bus}{kind}.rules"


def rule(scheduler: str, disks: Disks = "all", *, rotational: bool | None = None) -> str:
    """One line without a line break: ``scheduler`` for the disks of a bus, and only for one kind if
    ``rotational`` is given."""
    kind = "" if rotational is None else f', ATTR{{queue/rotational}}=="{int(rotational)}"'
    return (
        f'ACTION=="add|change", SUBSYSTEM=="block", ENV{{DEVTYPE}}=="disk", KERNEL=="{_NAMES[disks]}"{kind}, '
        f'ATTR{{queue/scheduler}}="{scheduler}"'
    )
