"""LVM's free extents: the data of removed logical volumes."""

from __future__ import annotations

import json
from collections import defaultdict

from imagebuild.guest.shell import Shell
from imagebuild.guest.unused.zeros import punch

_REPORT = (
    "lvm", "pvs", "--segments", "--reportformat", "json", "--units", "b", "--nosuffix",
    "-o", "pv_name,pe_start,vg_extent_size,pvseg_start,pvseg_size,segtype",
)  # fmt: skip


def wipe_free_extents(shell: Shell) -> None:
    """Zero the extents of every volume group that do not belong to a logical volume."""
    for device, ranges in free_extents(shell.run(_REPORT)).items():
        punch(shell, device, ranges)


def free_extents(report: str) -> dict[str, list[tuple[int, int]]]:
    """Offset and length in bytes of the free parts of each physical volume, from lvm2's report."""
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for row in json.loads(report)["report"][0]["pvseg"]:
        if row["segtype"] == "free":
            extent = int(row["vg_extent_size"])
            start = int(row["pe_start"]) + int(row["pvseg_start"]) * extent
            found[row["pv_name"]].append((start, int(row["pvseg_size"]) * extent))
    return dict(found)
