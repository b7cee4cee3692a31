"""The disks of a guest, from what lsblk(8) reports."""

from __future__ import annotations

from typing import Any

from imagebuild.contents.inventory import DiskArea, DiskLayout
from imagebuild.customise.contents.survey import Survey

_SECTOR = 512
"""The unit of /sys/class/block/*/start, whatever the sectors of the disk."""
_ROOT = "/sysroot"
Row = dict[str, Any]


def layouts(survey: Survey) -> tuple[tuple[DiskLayout, ...], tuple[DiskArea, ...]]:
    """The disks, in the guest's order, and the volumes on them: LVM, RAID, unlocked encryption."""
    rows = {_text(row, "kname"): row for row in survey.devices}
    own = next((name for name, row in rows.items() if row.get("mountpoint") == "/"), "")
    names = [name for name in survey.order if name in rows and name != own]
    volumes = [row for row in rows.values() if _text(row, "type") not in ("disk", "part", "rom", "loop")]
    return (
        tuple(_disk(name, rows, survey) for name in names),
        tuple(sorted((_area(row, 0, 0) for row in volumes), key=lambda one: one.name)),
    )


def _disk(disk: str, rows: dict[str, Row], survey: Survey) -> DiskLayout:
    row = rows[disk]
    numbers = sorted(
        (survey.numbers[name, "partition"], name)
        for name in rows
        if name.startswith(disk) and name[len(disk) :].isdigit() and (name, "partition") in survey.numbers
    )
    areas = [_area(rows[name], number, survey.numbers.get((name, "start"), 0) * _SECTOR) for number, name in numbers]
    if not areas and _text(row, "fstype"):
        areas = [_area(row, 0, 0)]
    return DiskLayout(_size(row, "size") or 0, _text(row, "pttype") if numbers else "", tuple(areas))


def _area(row: Row, number: int, start: int) -> DiskArea:
    kind = _text(row, "type")
    return DiskArea(
        name="" if number else _text(row, "name"),
        number=number,
        start=start,
        size=_size(row, "size") or 0,
        type=_text(row, "parttype") if kind in ("part", "disk") else kind,
        label=_text(row, "partlabel"),
        filesystem=_text(row, "fstype"),
        filesystem_label=_text(row, "label"),
        mountpoint=_mountpoint(_text(row, "mountpoint")),
        used=_size(row, "fsused"),
        capacity=_size(row, "fssize"),
    )


def _mountpoint(place: str) -> str:
    """Where the guest mounts what the appliance has mounted below /sysroot."""
    return place.removeprefix(_ROOT) or "/" if place == _ROOT or place.startswith(f"{_ROOT}/") else ""


def _text(row: Row, name: str) -> str:
    value = row.get(name)
    return value if isinstance(value, str) else ""


def _size(row: Row, name: str) -> int | None:
    """A number of bytes; older versions of lsblk write it as a text."""
    value = row.get(name)
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    return value if isinstance(value, int) else None
