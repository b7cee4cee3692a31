"""Which differences between an image and its rebuild are expected."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import imagebuild
from imagebuild.contents.compare import compare
from imagebuild.contents.inventory import DiskArea, DiskLayout, FileRecord
from imagebuild.reproduce import differences, disk_comparison, expected
from imagebuild.reproduce.differences import Difference
from imagebuild.reproduce.disk_comparison import TABLE, PartDifference
from imagebuild.reproduce.expected import Condition
from tests.contents.inventories import CHANGED, image

MIB = 1 << 20


def of_files(old: FileRecord, new: FileRecord, *conditions: Condition, random: bool = False) -> list[Difference]:
    diff = compare(image(files=(old,)), image(files=(new,)))
    return list(differences.of_contents(diff, frozenset(conditions), random_identifiers=random))


def record(path: str, sha256: str = "aa", mode: int = 0o644) -> FileRecord:
    return FileRecord(path, "f", mode, 0, 0, 1, "", "", sha256)


def test_equal_contents() -> None:
    assert of_files(record("/etc/motd"), record("/etc/motd")) == []


@pytest.mark.parametrize(
    ("path", "conditions", "is_expected"),
    [
        ("/usr/bin/ls", (), False),
        ("/etc/shadow", (), False),
        ("/etc/shadow", ("secrets",), True),
        ("/etc/apt/sources.list.d/debian.sources", (), False),
        ("/etc/apt/sources.list.d/debian.sources", ("mirror",), True),
        ("/boot/initrd.img-6.12.57+deb13-cloud-amd64", (), False),
        ("/boot/initrd.img-6.12.57+deb13-cloud-amd64", ("packages in the VM",), True),
        ("/var/log/dpkg.log", (), True),
        ("/var/logs", (), False),
    ],
)
def test_contents_by_path(path: str, conditions: tuple[Condition, ...], is_expected: bool) -> None:
    (found,) = of_files(record(path), record(path, "bb"), *conditions)
    assert (found.kind, found.name, found.detail) == ("file", path, "content")
    assert bool(found.reason) == is_expected


def test_another_mode_is_never_expected() -> None:
    (found,) = of_files(record("/var/log/dpkg.log"), record("/var/log/dpkg.log", "bb", 0o666))
    assert (found.detail, found.reason) == ("mode, content", "")


def test_files_with_identifiers_differ_if_these_are_random() -> None:
    pair = record("/etc/fstab"), record("/etc/fstab", "bb")
    assert of_files(*pair)[0].reason == ""
    assert of_files(*pair, random=True)[0].reason == expected.RANDOM_IDENTIFIERS


def test_everything_else_is_not_expected() -> None:
    found = list(differences.of_contents(compare(image(), CHANGED), frozenset(), random_identifiers=True))
    assert {one.kind for one in found} == {"system", "package", "account", "unit", "file"}
    assert not [one for one in found if one.reason]
    assert Difference("package", "bash", "5.2.37-2+b3 → 5.2.37-2+b4") in found


def test_packages_that_are_not_known_are_a_difference() -> None:
    (found,) = differences.of_contents(compare(image(), image(packages=None)), frozenset(), random_identifiers=False)
    assert (found.kind, found.reason) == ("package", "")


def test_identifiers_and_the_partition_table_must_be_equal() -> None:
    parts = [
        PartDifference(TABLE, 10, 1, {"disk signature": ("0badcafe", "0badf00d")}),
        PartDifference("partition 1, ext4", 900, 40, {}),
        PartDifference("end of the disk", 0, 0, {}),
    ]
    found = list(differences.of_disks(parts, random_identifiers=False))
    assert [(one.kind, one.name, bool(one.reason)) for one in found] == [
        ("identifier", f"{TABLE}: disk signature", False),
        ("blocks", TABLE, False),
        ("blocks", "partition 1, ext4", True),
    ]
    assert all(one.reason for one in differences.of_disks(parts, random_identifiers=True))


def test_the_parts_of_a_disk() -> None:
    area = DiskArea("sda1", 1, MIB, 2 * MIB, "83", "", "ext4")
    other = DiskArea("sda2", 2, 4 * MIB, MIB)
    layout = DiskLayout(8 * MIB, "dos", (other, area))
    assert [(one.name, one.start, one.size) for one in disk_comparison.parts(layout, 8 * MIB)] == [
        (TABLE, 0, MIB),
        ("partition 1, ext4", MIB, 2 * MIB),
        ("gap", 3 * MIB, MIB),
        ("partition 2", 4 * MIB, MIB),
        ("end of the disk", 5 * MIB, 3 * MIB),
    ]
    assert [one.name for one in disk_comparison.parts(None, MIB)] == ["disk"]


def test_chunks_of_two_disks_are_paired() -> None:
    old, new = [(0, b"a"), (8, b"b")], [(4, b"c"), (8, b"d"), (12, b"e")]
    assert list(disk_comparison.paired(iter(old), iter(new))) == [
        (0, b"a", b""), (4, b"", b"c"), (8, b"b", b"d"), (12, b"", b"e"),
    ]  # fmt: skip
    assert list(disk_comparison.paired(iter([]), iter([]))) == []


def test_the_documentation_has_the_whole_list() -> None:
    text = (Path(imagebuild.__file__).parents[1] / "docs" / "reproducible.md").read_text()
    flat = re.sub(r"\s+", " ", text)
    for reason in (*(one.reason for one in expected.EXPECTED), expected.BLOCKS, expected.RANDOM_IDENTIFIERS):
        assert reason in flat, reason
