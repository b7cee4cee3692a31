"""Definitions of machines that are made from templates."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from typing import Any

import pytest

from imagebuild.errors import UsageError
from imagebuild.publish import definition, instance_xml
from imagebuild.publish.instance_xml import HardwareChoice, InstanceIdentity, InstanceOrigin
from tests.publish.conftest import DEFINITION, published

UUID = "5216aed5-6fc9-4944-aa60-7d34cd12ba5d"
ORIGIN = InstanceOrigin("web", "1", "a" * 64)


def made(choice: HardwareChoice | None = None, *, text: str = DEFINITION, disks: int = 1, **more: object) -> ET.Element:
    paths = [f"/pool/vm-{number}.qcow2" for number in range(1, disks + 1)]
    options: dict[str, Any] = {"taken": set(), "kvm": True, **more}
    version, identity = published("1", definition=text, disks=disks), InstanceIdentity("vm", UUID)
    return instance_xml.defined(version, identity, ORIGIN, paths, choice or HardwareChoice(), **options)


def test_it_is_another_machine_than_the_template() -> None:
    text = DEFINITION.replace(
        '<interface type="user">', '<interface type="user"><mac address="52:54:00:00:00:01"/>'
    ).replace("<name>web</name>", f"<name>web</name><uuid>{'0' * 8}-0000-0000-0000-{'0' * 12}</uuid>")
    root = made(text=text)
    assert (root.findtext("name"), root.findtext("uuid")) == ("vm", UUID)
    (address,) = instance_xml.cards(root)
    assert address.startswith("52:54:00:")
    assert address != "52:54:00:00:00:01"
    assert address != instance_xml.cards(made(text=text))[0]


def test_an_address_that_somebody_has_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    found = iter([b"\x01\x02\x03", b"\x01\x02\x03", b"\x01\x02\x04"])
    monkeypatch.setattr(instance_xml.secrets, "token_bytes", lambda _: next(found))  # type: ignore[attr-defined]
    taken = instance_xml.addresses_in(["<domain><mac address='52:54:00:01:02:03'/></domain>", "<x/>"])
    assert instance_xml.cards(made(taken=taken)) == ["52:54:00:01:02:04"]


def test_its_metadata_say_where_it_comes_from() -> None:
    text = instance_xml.text(made())
    element = ET.fromstring(text).find(f"metadata/{{{definition.INSTANCE}}}instance")
    assert element is not None
    assert instance_xml.origin(ET.tostring(element, encoding="unicode")) == ORIGIN
    # as libvirt returns it
    assert instance_xml.origin('<instance template="web" version="1" sha256="x"/>') == InstanceOrigin("web", "1", "x")


def test_memory_and_cpus() -> None:
    text = DEFINITION.replace('placement="static">1<', 'placement="static" current="1">4<').replace(
        '<cpu mode="host-passthrough"/>',
        '<cputune><vcpupin vcpu="3" cpuset="0"/></cputune>'
        '<cpu mode="host-passthrough"><topology sockets="1" cores="4" threads="1"/></cpu>',
    )
    root = made(HardwareChoice(memory=2 << 30, vcpus=3), text=text)
    assert [(one.text, one.get("unit")) for one in root.findall("memory")] == [("2097152", "KiB")]
    assert root.findtext("currentMemory") == "2097152"
    (vcpu,) = root.findall("vcpu")
    assert (vcpu.text, vcpu.get("current")) == ("3", None)
    assert root.find("cputune") is None
    assert root.find("cpu/topology") is None


def test_numa_nodes_name_memory_and_cpus() -> None:
    text = DEFINITION.replace(
        '<cpu mode="host-passthrough"/>',
        '<cpu mode="host-passthrough"><numa><cell id="0" cpus="0" memory="131072" unit="KiB"/></numa></cpu>',
    )
    with pytest.raises(UsageError, match="NUMA"):
        made(HardwareChoice(vcpus=3), text=text)


@pytest.mark.parametrize(
    ("networks", "expected"),
    [
        ((), [("user", {})]),
        (("lan",), [("network", {"network": "lan"})]),
        (("bridge=br0", "user"), [("bridge", {"bridge": "br0"}), ("user", {})]),
    ],
)
def test_networks(networks: Sequence[str], expected: list[tuple[str, dict[str, str]]]) -> None:
    root = made(HardwareChoice(networks=tuple(networks)))
    found = []
    for card in root.findall("devices/interface"):
        source = card.find("source")
        found.append((card.get("type"), {} if source is None else source.attrib))
        assert card.find("model[@type='virtio']") is not None
    assert found == expected
    assert len(set(instance_xml.cards(root))) == len(expected)
    assert instance_xml.networks(root) == [one["network"] for _, one in expected if "network" in one]


@pytest.mark.parametrize("word", ["", "bridge=", "a b", "vde=x", "../x", "bridge=br0\n"])
def test_wrong_networks(word: str) -> None:
    with pytest.raises(UsageError, match="--network"):
        made(HardwareChoice(networks=(word,)))


def test_a_seed_is_a_read_only_cd_behind_the_disks() -> None:
    text = DEFINITION.replace('dev="vda" bus="virtio"', 'dev="sda" bus="sata"')
    root = made(text=text, seed="/pool/vm-seed.iso")
    disk, seed = root.findall("devices/disk")
    assert disk.find("source[@file='/pool/vm-1.qcow2']") is not None
    assert seed.get("device") == "cdrom"
    assert seed.find("target[@dev='sdb'][@bus='sata']") is not None, "sda is the disk"
    assert seed.find("driver[@type='raw']") is not None
    assert seed.find("readonly") is not None


def test_credentials_can_be_removed_again() -> None:
    strings = ["io.systemd.credential:system.hostname=a", "io.systemd.credential.binary:tmpfiles.extra=Zg=="]
    text = instance_xml.text(made(credentials=strings))
    root = ET.fromstring(text)
    assert [one.text for one in root.findall("sysinfo[@type='smbios']/oemStrings/entry")] == strings
    assert root.find("os/smbios[@mode='sysinfo']") is not None
    without = instance_xml.without_credentials(text)
    assert without is not None
    assert ET.fromstring(without).find("sysinfo") is None
    assert ET.fromstring(without).find("os/smbios") is None
    assert ET.fromstring(without).find(f"metadata/{{{definition.INSTANCE}}}instance") is not None
    assert instance_xml.without_credentials(without) is None
    kept = text.replace("io.systemd.credential:system.hostname=a", "of somebody else")
    others = instance_xml.without_credentials(kept)
    assert others is not None
    assert [one.text for one in ET.fromstring(others).findall("sysinfo/oemStrings/entry")] == ["of somebody else"]
    assert ET.fromstring(others).find("os/smbios") is not None
