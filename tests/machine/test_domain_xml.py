"""The domain definition: valid by libvirt's schema, equal to virt-install's, and containing every
key.
"""

from __future__ import annotations

import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import pytest
from pydantic import BaseModel

from imagebuild.machine import osinfo
from imagebuild.machine.domain_xml import definition, device_names, image_names
from imagebuild.recipe.model.disks import Disk, ExtraDisk
from imagebuild.recipe.model.machine import Hardware, Machine, Vm
from tests.machine.machines import ALL, MACHINES, facts, import_command, recipe, written
from tests.virt_install_parser import parsed


def valid(text: str) -> str:
    """The errors of libvirt's validator for a definition; empty if it is valid."""
    done = subprocess.run(["virt-xml-validate", "-", "domain"], input=text, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.parametrize(("base", "more"), ALL.values(), ids=ALL)
def test_it_is_valid_by_libvirts_schema(base: str, more: str) -> None:
    assert valid(definition(recipe(more, base))) == ""


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("<memory unit", "<memroy unit"), ('bus="virtio"', 'bus="virtoi"'), ('placement="static"', 'placement="stuck"')],
)
def test_the_schema_refuses_invalid_definitions(right: str, wrong: str) -> None:
    text = definition(recipe(""))
    assert right in text
    assert valid(text.replace(right, wrong, 1))


@pytest.mark.parametrize(("base", "more"), ALL.values(), ids=ALL)
def test_virt_install_produces_the_same_machine(base: str, more: str, tmp_path: Path) -> None:
    made = recipe(more, base)
    macs = {card.mac for card in made.machine.networks if card.mac is not None}
    ours = facts(ET.fromstring(definition(made, images=PurePosixPath(tmp_path))), macs)
    theirs = facts(parsed(import_command(made, tmp_path)), macs)
    for key in ours:
        assert ours[key] == theirs[key], key


def wanted(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every key below ``model`` with each of its values, if they can be enumerated."""
    for name, field in model.model_fields.items():
        yield from _values(field.annotation, prefix + name)


def _values(annotation: Any, key: str) -> Iterator[tuple[str, Any]]:
    inner = get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from wanted(annotation, f"{key}.")
    elif get_origin(annotation) is Literal:
        yield from ((key, value) for value in inner)
    elif annotation is bool:
        yield from ((key, value) for value in (True, False))
    elif get_origin(annotation) is dict:
        yield from _values(inner[1], f"{key}.*")
    elif get_origin(annotation) in (Union, UnionType, tuple) or hasattr(annotation, "__metadata__"):
        kinds = [one for one in inner if one not in (NoneType, Ellipsis)]
        sections = [one for one in kinds if list(_sections(one))]
        yield from _values((sections or kinds)[0], key) if sections or len(kinds) == 1 else ((key, None),)
    else:
        yield key, None


def _sections(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _sections(inner)


def keys_and_values(data: Any, key: str) -> Iterator[tuple[str, Any]]:
    """The keys of a recipe's data with their values; short forms are expanded."""
    if isinstance(data, dict):
        for name, value in data.items():
            inner = "*" if key.endswith((".pin", ".features")) else name
            yield from keys_and_values(value, f"{key}.{inner}" if key else inner)
    elif isinstance(data, list):
        for item in data:
            yield from keys_and_values(
                {"type": item} if key == "machine.networks" and isinstance(item, str) else item, key
            )
    else:
        short = {"machine.memory": "maximum", "machine.cpu": "model", "machine.graphics": "type"}
        yield (f"{key}.{short[key]}" if key in short else key), data
        yield key if key not in short else f"{key}.{short[key]}", None


def test_every_key_with_every_value_is_tested_above() -> None:
    tried = {pair for more in MACHINES.values() for pair in keys_and_values(written(more), "")}
    expected = [*wanted(Machine, "machine."), *wanted(Disk, "disk."), *wanted(ExtraDisk, "extra_disks.")]
    assert {
        ("machine.numa.cpus", None),
        ("machine.cpu.features.*", "forbid"),
        ("machine.networks.model", "igb"),
    } <= set(expected)
    missing = [pair for pair in expected if pair not in tried and pair[0] not in ("disk.size", "disk.format")]
    missing = [(key, value) for key, value in missing if not (key == "extra_disks.bus" and value)]
    assert missing == []


def test_the_install_vm_has_the_same_keys() -> None:
    assert set(Vm.model_fields) - {"timeout"} == set(Hardware.model_fields) == set(Machine.model_fields) - {"firmware"}


def test_it_is_portable() -> None:
    text = definition(recipe("machine: {firmware: uefi-secure}"))
    for host in ("<uuid", "<emulator", "<nvram", "OVMF", "<mac "):
        assert host not in text


def test_name_and_folder_can_be_chosen() -> None:
    domain = ET.fromstring(definition(recipe(""), name="web1", images=PurePosixPath("/srv/a & b")))
    assert domain.findtext("name") == "web1"
    assert domain.find("devices/disk/source").attrib["file"] == "/srv/a & b/small.qcow2"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("formats", "wanted"), [("[vmdk, qcow2]", "qcow2"), ("[vmdk, raw]", "raw"), ("raw.zst", "raw"), ("vhdx", "raw")]
)
def test_it_names_formats_that_libvirt_can_start(formats: str, wanted: str) -> None:
    domain = ET.fromstring(definition(recipe(f"output: {{format: {formats}}}")))
    assert domain.find("devices/disk/driver").attrib["type"] == wanted  # type: ignore[union-attr]
    assert domain.find("devices/disk/source").attrib["file"].endswith(f"/small.{wanted}")  # type: ignore[union-attr]


def test_names_of_several_images_and_their_devices() -> None:
    made = recipe("extra_disks: [{size: 1GiB}, {size: 1GiB, bus: scsi}]")
    assert image_names(made, "qcow2") == ("small.qcow2", "small-disk2.qcow2", "small-disk3.qcow2")
    assert image_names(made, "raw.zst")[1] == "small-disk2.raw.zst"
    assert device_names(["virtio"] * 28)[25:] == ("vdz", "vdaa", "vdab")
    assert device_names(["virtio", "scsi", "sata", "virtio", "ide", "xen"]) == (
        "vda",
        "sda",
        "sdb",
        "vdb",
        "hda",
        "xvda",
    )


def test_the_guests_system_is_included_if_it_is_known() -> None:
    assert 'libosinfo:os id="http://debian.org/debian/12"' in definition(recipe(""))
    assert osinfo.full_id("templeos5") is None


def test_ids_of_systems_are_those_of_osinfos_database() -> None:
    known = {}
    for path in Path("/usr/share/osinfo/os").glob("*/*.xml"):
        system = ET.parse(path).getroot().find("os")
        assert system is not None
        known.update({short.text or "": system.attrib["id"] for short in system.findall("short-id")})
    ours = {short: osinfo.full_id(short) for short in known if osinfo.full_id(short) is not None}
    assert len(ours) > 40
    assert ours == {short: known[short] for short in ours}
