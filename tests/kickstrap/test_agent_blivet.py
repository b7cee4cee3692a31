"""The planned layouts against those of blivet, with which Anaconda partitions.

``data/blivet.json`` was recorded by ``bench/blivet_layouts.py`` for the sections of ``data/storage.ks``. What
differs on purpose is listed in ``data/differences.yaml``, with the reason; anything else is a mistake.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from imagebuild.kickstrap.agent import autopart, kickstart, layout, storage_reader, volumes
from imagebuild.kickstrap.agent.errors import StorageError
from imagebuild.kickstrap.agent.layout import SECTORS
from imagebuild.kickstrap.agent.machine import TargetMachine

DATA = Path(__file__).parent / "data"
MIB = 1 << 20
FLAGS = {"lvm": "lvm", "raid": "raid", "swap": "swap", "esp": "boot", "biosboot": "bios_grub"}
"""parted's flag for each kind of partition."""
REFUSED: dict[str, Any] = {"refused": True}


@cache
def cases() -> dict[str, tuple[dict[str, str], str]]:
    """The words of each heading, and the lines below it."""
    found = {}
    for block in (DATA / "storage.ks").read_text().split("# case ")[1:]:
        heading, _, lines = block.partition("\n")
        name, *words = heading.split()
        found[name] = (dict(word.split("=", 1) for word in words), lines)
    return found


@cache
def recorded() -> dict[str, dict[str, Any]]:
    layouts: dict[str, dict[str, Any]] = json.loads((DATA / "blivet.json").read_text())["layouts"]
    return layouts


@cache
def differences() -> dict[str, dict[str, Any]]:
    listed: dict[str, dict[str, Any]] = yaml.safe_load((DATA / "differences.yaml").read_text())
    return listed


def planned(heading: dict[str, str], lines: str) -> dict[str, Any]:
    """The layout in the form of the record: sectors, bytes, and extents."""
    if "clearpart" not in lines:
        lines += f"clearpart --all --disklabel={heading['label']}\n"
    machine = TargetMachine(tuple(map(int, heading["disks"].split(","))), heading.get("firmware", "bios"))
    wanted = storage_reader.make(kickstart.parse(f"{lines}liveimg --url=file:///payload\n"))
    try:
        whole = autopart.complete(wanted, machine)
        placed = layout.place(whole, machine)
        sizes = volumes.sized(whole, placed)
    except StorageError:
        return REFUSED
    parts = sorted(placed, key=lambda one: (one.disk, one.start))
    groups = {group.name: group for group in whole.groups}
    return {
        "partitions": [
            [one.disk, one.partition.name, one.start * SECTORS, one.size * SECTORS, FLAGS.get(one.partition.kind, "")]
            for one in parts
        ],
        "arrays": {array.device: volumes.array_size(array, [_inside(sizes, name) for name in array.members]) * MIB
                   for array in whole.arrays},
        "volumes": {f"{one.group}-{one.volume}": _bytes(sizes[one.name], groups[one.group].extent)
                    for one in whole.volumes},
        "btrfs": {one.name: [len(one.members), one.data, one.metadata] for one in whole.btrfs},
    }  # fmt: skip


def _inside(sizes: dict[str, Any], name: str) -> int:
    size: int = sizes[name]
    return size


def _bytes(size: int | volumes.PoolSize, extent: int) -> list[int]:
    if isinstance(size, volumes.PoolSize):
        return [size.data * extent * 1024, size.metadata * extent * 1024]
    return [size * extent * 1024]


def of_blivet(name: str) -> dict[str, Any]:
    layout = recorded()[name]
    if "refused" in layout:
        return REFUSED
    extents = {group: extent for group, (extent, _, _) in layout["groups"].items()}
    # LVM rounds up when it creates a volume
    volumes = {
        name: [-(-size // extents[name.partition("-")[0]]) * extents[name.partition("-")[0]] for size in sizes]
        for name, sizes in layout["volumes"].items()
    }
    return {
        "partitions": layout["partitions"],
        "arrays": layout["arrays"],
        "volumes": volumes,
        "btrfs": layout["btrfs"],
    }


def test_every_case_is_recorded() -> None:
    assert list(cases()) == list(recorded())
    assert set(differences()) <= set(cases())
    assert len(cases()) >= 60


@pytest.mark.parametrize("name", cases())
def test_the_layout_is_that_of_blivet(name: str) -> None:
    ours, theirs = planned(*cases()[name]), of_blivet(name)
    difference = differences().get(name)
    if difference is None:
        assert ours == theirs
        return
    assert difference["why"]
    assert ours == {**theirs, **difference["ours"]} if "refused" not in difference["ours"] else difference["ours"]
    assert ours != theirs
