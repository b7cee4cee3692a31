"""The machine of a domain definition, which is hostile."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from imagebuild.errors import UsageError
from imagebuild.exports.guest_machine import GuestMachine, of_definition
from imagebuild.machine.domain_xml import definition
from tests.recipe.recipes import recipe


def of_recipe(more: str) -> GuestMachine:
    return of_definition(ET.fromstring(definition(recipe(more))), "small.xml")


def parsed(inside: str) -> GuestMachine:
    return of_definition(ET.fromstring(f"<domain type='kvm'>{inside}</domain>"), "small.xml")


def test_the_machine_of_a_recipe() -> None:
    found = of_recipe("machine: {memory: 3GiB, vcpus: 4, firmware: uefi-secure}\n")
    assert found == GuestMachine(
        memory=3 << 30, vcpus=4, firmware="uefi-secure", architecture="x86_64", chipset="q35", bus="virtio",
        cards=("virtio",), system="",
    )  # fmt: skip


def test_firmware_and_system_of_a_recipe() -> None:
    assert of_recipe("machine: {firmware: uefi}\n").firmware == "uefi"
    assert of_recipe("").firmware == "bios"
    made = recipe(base="name: small\nos: {family: debian, version: 12, codename: bookworm, osinfo: debian12}\n")
    assert of_definition(ET.fromstring(definition(made)), "small.xml").system == "debian"


def test_values_from_outside_become_known_words() -> None:
    found = parsed(
        "<memory unit='MiB'> 512 </memory><vcpu>1</vcpu>"
        "<os><type arch='aarch64' machine='pc-q35-9.2&quot;; system(&quot;id&quot;)'>hvm</type></os>"
        "<devices><disk><target bus='&quot;+`id`+&quot;'/></disk>"
        + "<interface><model type='../../x'/></interface><interface/>" * 20
        + "</devices><metadata><os xmlns='urn:x' id='http://debian.org/&quot;quoted&quot;/13'/></metadata>"
    )
    assert found == GuestMachine(
        memory=512 << 20, vcpus=1, architecture="aarch64", chipset="q35", bus="virtio", cards=("virtio",) * 8, system=""
    )


@pytest.mark.parametrize(
    "inside",
    [
        "",
        "<memory>1048576</memory>",
        "<memory>many</memory><vcpu>1</vcpu>",
        "<memory>-1</memory><vcpu>1</vcpu>",
        "<memory unit='parsec'>1048576</memory><vcpu>1</vcpu>",
        "<memory>1048576</memory><vcpu>0</vcpu>",
        "<memory>1048576</memory><vcpu>100000</vcpu>",
        "<memory>٤٤٤٤٤٤٤٤</memory><vcpu>1</vcpu>",
        f"<memory>{'9' * 5000}</memory><vcpu>1</vcpu>",
        "<memory>1048576</memory><vcpu>1</vcpu><os><type arch='mips'>hvm</type></os>",
    ],
)
def test_a_machine_that_cannot_be_described_is_refused(inside: str) -> None:
    with pytest.raises(UsageError, match=r"small\.xml"):
        parsed(inside)
