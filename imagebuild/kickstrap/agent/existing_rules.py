"""Finds problems in ``part --onpart``, which uses partitions that %pre has created, each with its line. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .machine import disk_number, partition_place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .disks import Storage

Problem = tuple[int, str, str | None]
"""Line, message, hint."""
_PRE = 0
"""pykickstart.constants.KS_SCRIPT_PRE"""
_CLEARED = {0: "--linux", 1: "--all"}
"""pykickstart.constants.CLEARPART_TYPE_*, those that remove partitions which %pre creates."""


def problems(handler: Any, storage: Storage) -> Iterator[Problem]:
    """All problems."""
    is_made = any(script.type == _PRE for script in handler.scripts)
    used: set[tuple[int, int]] = set()
    for part in storage.partitions:
        if not part.existing:
            continue
        where, place = f"part {part.name}: --onpart={part.existing}", partition_place(part.existing)
        if place is None:
            yield part.line, f"{where} is not a known partition", "name it like vda1 or disk/by-id/virtio-target-part1"
            continue
        if not is_made:
            hint = "write --size, and --ondisk if there are several disks; or create the partition in %pre"
            yield part.line, f"{where} is not supported by kickstrap: the disks are new, and no %pre creates it", hint
        if place in used:
            yield part.line, f"{where} is already in use", None
        used.add(place)
        option = _CLEARED.get(handler.clearpart.type)
        cleared = [disk_number(name) for name in storage.cleared] or [place[0]]
        if option and place[0] in cleared:
            message = f"{where}: clearpart {option} removes what %pre has created"
            yield part.line, message, "write clearpart --none, or remove clearpart"
