"""The default set on a guest of every family: nothing marked is left, a second run changes nothing,
and an audit finds nothing."""

from __future__ import annotations

import pytest

from imagebuild.customise import registry
from imagebuild.customise.files import Files
from imagebuild.customise.runner import apply_all, apply_one
from tests.operations import families as guests
from tests.operations.families import Family
from tests.operations.memory import MemoryDisk, Tree
from tests.operations.real import Scratch

every_family = pytest.mark.parametrize("family", guests.ALL, ids=lambda family: family.name)


@every_family
def test_in_memory(family: Family) -> None:
    disk = MemoryDisk(family.tree())
    _scrub_twice(disk)
    _check(family, disk.tree)
    looked = [apply_one(disk, registry.call(name)) for name in registry.names() if _carries(name)]
    assert [(one.name, one.changes) for one in looked if one.changes] == []


@pytest.mark.guestfs
@every_family
def test_on_ext4(family: Family, ext4: Scratch) -> None:
    with ext4.filled(family.tree()) as disk:
        _scrub_twice(disk)
        _check(family, ext4.tree())


@pytest.mark.guestfs
@pytest.mark.parametrize("family", [one for one in guests.ALL if "xfs" in one.fstypes], ids=lambda family: family.name)
def test_on_xfs(family: Family, xfs: Scratch) -> None:
    with xfs.filled(family.tree()) as disk:
        _scrub_twice(disk)
        _check(family, xfs.tree())


def _scrub_twice(disk: Files) -> None:
    calls = [registry.call(name) for name in (*registry.HOUSE_RULES, *registry.TEMPLATE)]
    first = apply_all(disk, calls, lambda detail, fraction: None)
    assert any(one.changes for one in first.operations)
    again = apply_all(disk, calls, lambda detail, fraction: None)
    assert [(one.name, one.changes) for one in again.operations if one.changes] == []


def _carries(name: str) -> bool:
    return bool(registry.get(name).carries) and name in registry.TEMPLATE


def _check(family: Family, tree: Tree) -> None:
    left = [
        f"{path}: {word}"
        for path, node in tree.items()
        for word in guests.GONE
        if word.encode() in node.content or word in path
    ]
    assert not left
    texts = b"\n".join(node.content for node in tree.values()).decode("utf-8", "replace")
    assert [word for word in family.kept if word not in texts] == []
    assert tree["/home/ann"].uid == 1000
    assert not tree["/etc/machine-id"].content if "/etc/machine-id" in tree else True
