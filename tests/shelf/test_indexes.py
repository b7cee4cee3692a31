"""The texts of the indexes, and what virt-resize can enlarge."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest

from imagebuild.contents.inventory import DiskArea, DiskLayout
from imagebuild.errors import UsageError
from imagebuild.shelf import documents, streams, virt_builder
from imagebuild.shelf.entry import expandable
from imagebuild.shelf.record import EMPTY, ShelfRecord, ShelvedFile, ShelvedTemplate, ShelvedVersion, file_name
from tests.contents.inventories import inventory

GIB = 1 << 30


def shelved(name: str = "web", version: str = "2026-11-29.1", disks: int = 1, **values: object) -> ShelvedVersion:
    """A version with files whose digests follow from the version."""
    items = [f"disk{number}.img" for number in range(1, disks + 1)] + ["manifest.json", "domain.xml"]
    files = []
    for number, item in enumerate(items):
        digest = hashlib.sha256(f"{version} {number}".encode()).hexdigest()
        files.append(ShelvedFile(item, file_name(name, version, item, digest), 100 + number, digest, digest * 2))
    return ShelvedVersion(version, tuple(files), GIB, "x86_64", **values)  # type: ignore[arg-type]


def record(*templates: ShelvedTemplate) -> ShelfRecord:
    return replace(EMPTY, serial=9, changed="2026-11-29T10:00:00+00:00", templates=templates)


def test_the_index_of_virt_builder() -> None:
    old = shelved(version="2026-11-28.2", title="Web", revision=3)
    new = shelved(
        title="Web \N{REGISTERED SIGN}", osinfo="debian13", expand="/dev/sda2", lvexpand="/dev/vg/root", revision=4,
        verdict="passed", built="2026-11-29T09:00:00+00:00", fingerprint="ab",
    )  # fmt: skip
    text = virt_builder.index(record(ShelvedTemplate("web", 5, (old, new))), "images")
    current, *hidden = text.split("\n\n")
    disk = new.disks[0]
    assert current == (
        "[web]\nname=Web \N{REGISTERED SIGN}\nosinfo=debian13\narch=x86_64\n"
        f"file=images/{disk.name}\nchecksum[sha512]={disk.sha512}\nrevision=5\nformat=qcow2\n"
        "size=1073741824\ncompressed_size=100\nexpand=/dev/sda2\nlvexpand=/dev/vg/root\n"
        "notes=Web \N{REGISTERED SIGN}\n Version 2026-11-29.1, built 2026-11-29T09:00:00+00:00\n"
        " Verification: passed\n Fingerprint of the build: ab"
    )
    assert [one.splitlines()[0] for one in hidden] == ["[web--2026-11-29.1]", "[web--2026-11-28.2]"]
    assert all("hidden=true" in one for one in hidden)
    assert "revision=3" in hidden[1]
    assert text.endswith("\n")


@pytest.mark.parametrize("title", ["a\n[evil]\nfile=x", "a\r", "a\x00b", "\x1b[31m", " \n ", "\udcff"])
def test_a_title_cannot_add_a_line(title: str) -> None:
    text = virt_builder.index(record(ShelvedTemplate("web", 1, (shelved(title=title),))), "images")
    assert [line for line in text.splitlines() if line.startswith("[")] == ["[web]", "[web--2026-11-29.1]"]
    assert text.isprintable() or set(text) - set("\n") == {one for one in text if one.isprintable()}


def test_what_the_index_of_virt_builder_cannot_list() -> None:
    two = ShelvedTemplate("web", 1, (shelved(disks=2),))
    assert virt_builder.index(record(two), "images") == ""
    assert not virt_builder.is_listed(two)
    with pytest.raises(UsageError, match="cannot be in the index"):
        virt_builder.index(record(ShelvedTemplate("c++", 1, (shelved("c++"),))), "images")


def test_the_tree_of_simplestreams() -> None:
    many = tuple(shelved(version=f"2026-11-29.{number}", verdict="passed") for number in (2, 9, 10, 1000))
    about = record(ShelvedTemplate("web", 5, many))
    index = json.loads(streams.index(about))
    (entry,) = index["index"].values()
    assert (index["format"], entry["format"], entry["path"]) == ("index:1.0", "products:1.0", streams.PRODUCTS)
    products = json.loads(streams.products(about, "images"))
    assert products["content_id"] in index["index"]
    (product,) = products["products"].values()
    assert sorted(product["versions"]) == [one.serial for one in many], "versions sort as strings"
    items = product["versions"]["2026-11-29.0010"]["items"]
    disk = many[2].disks[0]
    expected = {"ftype": "disk1.img", "path": f"images/{disk.name}", "size": 100, "sha256": disk.sha256}
    assert items["disk1.img"] == {**expected, "sha512": disk.sha512}
    assert items.keys() == {"disk1.img", "manifest.json", "domain.xml"}
    assert product["versions"]["2026-11-29.0010"]["label"] == "verified"


def test_a_signed_index_names_the_signed_products() -> None:
    about = record(ShelvedTemplate("web", 5, (shelved(),)))
    plain, signed = documents.texts(about)[streams.INDEX]
    assert json.loads(plain)["index"]["imagebuild:images"]["path"] == "streams/v1/imagebuild:images.json"
    assert json.loads(signed)["index"]["imagebuild:images"]["path"] == "streams/v1/imagebuild:images.sjson"


def test_no_line_would_be_changed_by_a_clear_signature() -> None:
    about = record(ShelvedTemplate("web", 5, (shelved(title="- From here  "),)))
    for _, signed in documents.texts(about).values():
        assert not [line for line in signed.splitlines() if line.startswith(("-", "From ")) or line != line.rstrip()]


ROOT = DiskArea("", 2, GIB, GIB, "", "", "ext4", "", "/")
PV = DiskArea("", 3, GIB, GIB, "", "", "LVM2_member")
LV = DiskArea("data--vg-root--fs", 0, 0, GIB, "lvm", "", "xfs", "", "/")


@pytest.mark.parametrize(
    ("disks", "volumes", "expected"),
    [
        ([DiskLayout(GIB, "gpt", (ROOT,))], [], ("/dev/sda2", "")),
        ([DiskLayout(GIB, "dos", (replace(ROOT, number=5),))], [], ("", "")),
        ([DiskLayout(GIB, "gpt", (replace(ROOT, number=5),))], [], ("/dev/sda5", "")),
        ([DiskLayout(GIB, "", (replace(ROOT, number=0),))], [], ("", "")),
        ([DiskLayout(GIB, "gpt", (replace(ROOT, mountpoint="/srv"),))], [], ("", "")),
        ([DiskLayout(GIB, "gpt", (PV,))], [LV], ("/dev/sda3", "/dev/data-vg/root-fs")),
        ([DiskLayout(GIB, "gpt", (PV, replace(PV, number=4)))], [LV], ("", "")),
        ([DiskLayout(GIB, "gpt", (PV,))], [replace(LV, type="crypt")], ("", "")),
        ([DiskLayout(GIB, "gpt", (PV,))], [replace(LV, name="vg-a/../b")], ("", "")),
        ([DiskLayout(GIB, "gpt", (ROOT,)), DiskLayout(GIB)], [], ("", "")),
        ([], [], ("", "")),
    ],
)
def test_what_virt_resize_can_enlarge(
    disks: list[DiskLayout], volumes: list[DiskArea], expected: tuple[str, str]
) -> None:
    assert expandable(replace(inventory(), disks=tuple(disks), volumes=tuple(volumes))) == expected
