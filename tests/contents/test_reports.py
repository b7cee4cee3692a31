"""What people see of an image and of a difference: golden files."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest

from imagebuild.contents import difference, difference_data, gates, markdown, picture, summary
from imagebuild.contents.compare import compare
from imagebuild.contents.described import data
from imagebuild.contents.inventory import DiskArea, DiskLayout
from imagebuild.contents.sizes import human, signed
from tests.contents.inventories import CHANGED, GIB, HOSTILE, LINUX, MIB, image

GOLDEN = Path(__file__).with_name("golden")
Golden = Callable[[Path, str], None]
GATES = [gates.parse(name) for name in ("size-growth=10%", "new-setuid-file", "new-user")]
NAMES = ("/images/web.qcow2", "/images/new.qcow2")
LVM = DiskLayout(
    8 * GIB,
    "dos",
    (
        DiskArea("", 1, MIB, GIB, "0x83", "", "xfs", "", "/boot", 200 * MIB, GIB),
        DiskArea("", 2, GIB + MIB, 6 * GIB, "0x5"),
        DiskArea("", 5, GIB + 2 * MIB, 5 * GIB, "0x8e", "", "LVM2_member"),
    ),
)
VOLUME = DiskArea("vg0-root", 0, 0, 4 * GIB, "lvm", "", "ext4", "<root>\x1b", "/", GIB, 4 * GIB)


def is_printable(text: str) -> bool:
    return all(line.isprintable() for line in text.splitlines())


def test_summary(golden: Golden) -> None:
    lines = "\n".join([*summary.lines(image()), "=" * 72, *summary.lines(CHANGED, everything=True)])
    assert is_printable(lines)
    golden(GOLDEN / "inspect.txt", lines + "\n")


def test_summary_of_a_guest_with_volumes_and_unknown_packages(golden: Golden) -> None:
    lines = summary.lines(image(disks=(LVM, DiskLayout(GIB)), volumes=(VOLUME,), packages=None, package_format="rpm"))
    golden(GOLDEN / "inspect-volumes.txt", "\n".join(lines) + "\n")


def test_difference(golden: Golden) -> None:
    lines = "\n".join(difference.lines(compare(image(), CHANGED), NAMES))
    assert is_printable(lines)
    golden(GOLDEN / "diff.txt", lines + "\n")


def test_markdown(golden: Golden) -> None:
    diff = compare(image(), CHANGED)
    text = markdown.text(diff, NAMES, gates.fired(GATES, diff))
    assert is_printable(text)
    golden(GOLDEN / "diff.md", text)


def test_nothing_differs() -> None:
    diff = compare(image(), image())
    assert "the contents are the same" in "\n".join(difference.lines(diff, NAMES))
    assert "The contents are the same." in markdown.text(diff, NAMES, [])


@pytest.mark.parametrize(
    "content", ["`", "``` x", "a|b", "[x](http://e.example)", "@everyone", "<img src=x>", "", "\n# x"]
)
def test_a_code_span_contains_everything(content: str) -> None:
    span = markdown.code(content)
    fence = re.match("`+", span)
    assert fence
    assert "\n" not in span
    assert span.endswith(fence[0])
    assert fence[0] not in re.findall("`+", span[len(fence[0]) : -len(fence[0])])


def test_many_files_are_shortened() -> None:
    one = image().inventory.files[0]
    many = image(files=tuple(one._replace(path=f"/f{number:03}") for number in range(100)))
    diff = compare(image(files=()), many)
    lines = list(difference.lines(diff, NAMES))
    assert "  … and 70 more; --all lists them" in lines
    assert len([line for line in difference.lines(diff, NAMES, everything=True) if line.startswith("  +  /f")]) == 100
    assert "<details>" in markdown.text(diff, NAMES, [])


def test_json_of_an_image_has_the_exact_names() -> None:
    found = data(CHANGED)
    assert found["files"] == 5
    assert HOSTILE in [one["path"] for one in found["privileged"]]
    assert found["listening"] == ["dbus.socket", "ssh.socket"]
    assert found["privileged"][0]["mode"] == "4755"
    assert len(data(CHANGED, files=True)["files"]) == 5


def test_json_of_a_difference() -> None:
    diff = compare(image(), CHANGED)
    found = difference_data.data(diff, gates.fired(GATES, diff))
    assert not found["same"]
    assert [one["gate"] for one in found["gates"]] == ["new-setuid-file", "new-user"]
    assert found["files"]["changed"][0]["what"] == ["mode"]
    assert found["packages"]["added"] == {"tree": "2.2.1-1"}
    assert found["sizes"]["used"] == {"old": GIB + 12 * MIB, "new": GIB + 12 * MIB}


def test_pictures(golden: Golden) -> None:
    (disk,) = image().inventory.disks
    disks = {"gpt": disk, "lvm": LVM, "no table": DiskLayout(GIB, "", (DiskArea("sda", 0, 0, GIB, "", "", "xfs"),)),
             "empty": DiskLayout(GIB), "nothing": DiskLayout(0)}  # fmt: skip
    golden(GOLDEN / "pictures.txt", "".join(f"{name:<9} {picture.text(one)}\n" for name, one in disks.items()))
    assert all(len(picture.text(one)) <= picture.WIDTH for one in disks.values())


def test_svg(golden: Golden) -> None:
    text = picture.svg((image().inventory.disks[0], LVM), (VOLUME,), "web.qcow2 <\x1b&\udcff")
    golden(GOLDEN / "disk.svg", text)
    root = ET.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert text.isprintable() or is_printable(text)


def test_very_many_partitions_keep_their_picture() -> None:
    areas = tuple(DiskArea("", at, at * MIB * 10, MIB, LINUX) for at in range(1, 129))
    assert picture.text(DiskLayout(2 * GIB, "gpt", areas))
    ET.fromstring(picture.svg((DiskLayout(2 * GIB, "gpt", areas),), (), "x"))


def test_sizes() -> None:
    shown = [human(size) for size in (0, 1023, 1024, 10239, 1 << 20, 4 * GIB, 1536 * MIB)]
    assert shown == ["0 B", "1023 B", "1.0 KiB", "10 KiB", "1.0 MiB", "4.0 GiB", "1.5 GiB"]
    assert [signed(size) for size in (0, 1024, -1024)] == ["0", "+1.0 KiB", "−1.0 KiB"]
