"""Definitions on hosts: what is accepted, and what becomes of it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from imagebuild.errors import ImageBuildError
from imagebuild.machine import domain_xml
from imagebuild.publish import definition
from imagebuild.publish.state import first
from imagebuild.recipe.load import load_all
from tests.publish.conftest import DEFINITION, published

PATH = "/var/lib/libvirt/images/web--1--0123456789abcdef.qcow2"
SHIPPED = sorted(path.stem for path in (Path(__file__).parents[2] / "recipes").glob("*.yaml"))


def shipped_definitions(name: str) -> Iterator[str]:
    return (domain_xml.definition(recipe) for recipe in load_all(name))


@pytest.mark.parametrize("name", SHIPPED)
def test_what_imagebuild_writes_is_accepted(name: str) -> None:
    for text in shipped_definitions(name):
        definition.checked(text, "web.xml")


def test_everything_that_a_recipe_can_set_is_accepted(tmp_path: Path) -> None:
    recipe = tmp_path / "recipes" / "all.yaml"
    recipe.parent.mkdir()
    recipe.write_text(
        """\
extends: debian-13.yaml
disk: {bus: scsi}
extra_disks: [{size: 1GiB}]
machine:
  memory: {current: 1GiB, maximum: 2GiB}
  vcpus: {current: 1, maximum: 4, sockets: 1, cores: 4, threads: 1, cpuset: 0-3, pin: {0: "1"}}
  huge_pages: true
  memory_sharing: false
  firmware: uefi-secure
  tpm: true
  disk: {cache: none, io: native, discard: unmap}
  networks: [{type: bridge, bridge: br0, mac: "52:54:00:00:00:01"}, {type: network, network: lan}]
  graphics: {type: vnc, listen: 127.0.0.1, port: 5901}
"""
    )
    for found in load_all(str(recipe)):
        definition.checked(domain_xml.definition(found), "all.xml")


FOREIGN = {
    "a device of the host": "<hostdev mode='subsystem' type='usb'><source><vendor id='0x1234'/></source></hostdev>",
    "a folder of the host": "<filesystem type='mount'><source dir='/'/><target dir='x'/></filesystem>",
    "a program": "<emulator>/tmp/program</emulator>",
    "a file as serial port": "<serial type='file'><source path='/etc/cron.d/x'/></serial>",
    "a socket as channel": "<channel type='unix'><source mode='connect' path='/run/x'/></channel>",
    "a TPM of the host": "<tpm model='tpm-tis'><backend type='passthrough'><device path='/dev/tpm0'/></backend></tpm>",
    "random numbers from a file": "<rng model='virtio'><backend model='random'>/etc/shadow</backend></rng>",
    "random numbers from the network": "<rng model='virtio'><backend model='egd'>x</backend></rng>",
    "a script for the network": "<interface type='ethernet'><script path='/tmp/x'/></interface>",
    "a network card of the host": "<interface type='direct'><source dev='eth0' mode='passthrough'/></interface>",
    "a vhost socket": "<interface type='vhostuser'><source type='unix' path='/x' mode='client'/></interface>",
    "shared memory": "<shmem name='x'/>",
    "a block device": "<disk type='block'><source dev='/dev/sda'/><target dev='vdb' bus='virtio'/></disk>",
    "a network disk": "<disk type='network'><source protocol='nbd' name='x'/><target dev='vdb' bus='virtio'/></disk>",
    "a secret": "<disk type='file'><encryption format='luks'/></disk>",
    "a log file": "<serial type='pty'><log file='/etc/passwd'/></serial>",
    "a label": "<disk type='file'><source file='/x'><seclabel model='dac' relabel='no'/></source></disk>",
}  # fmt: skip


@pytest.mark.parametrize("what", FOREIGN)
def test_devices_that_reach_the_host_are_refused(what: str) -> None:
    text = DEFINITION.replace("</devices>", f"{FOREIGN[what]}</devices>")
    with pytest.raises(ImageBuildError, match=r"web\.xml contains <"):
        definition.checked(text, "web.xml")


@pytest.mark.parametrize(
    "inserted",
    [
        "<q:commandline xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'><q:arg value='-x'/></q:commandline>",
        "<seclabel type='none'/>",
        "<launchSecurity type='sev'/>",
        "<sysinfo type='fwcfg'><entry name='x' file='/etc/shadow'/></sysinfo>",
        "<memory unit='KiB'>/etc/shadow</memory>",
        "<bootloader>/bin/sh</bootloader>",
        "<keywrap/>",
    ],
)
def test_elements_that_reach_the_host_are_refused(inserted: str) -> None:
    with pytest.raises(ImageBuildError, match=r"web\.xml contains <"):
        definition.checked(DEFINITION.replace("<devices>", f"{inserted}<devices>", 1), "web.xml")


@pytest.mark.parametrize(
    "system",
    [
        "<kernel>/boot/vmlinuz</kernel>",
        "<loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE.fd</loader>",
        "<nvram template='/etc/shadow'/>",
        "<initrd>/x</initrd>",
        "<dtb>/x</dtb>",
    ],
)
def test_firmware_and_kernels_by_path_are_refused(system: str) -> None:
    with pytest.raises(ImageBuildError, match=r"web\.xml contains <"):
        definition.checked(DEFINITION.replace("<boot dev", f"{system}<boot dev"), "web.xml")


@pytest.mark.parametrize("text", ["", "<a/>", "<domain type='lxc'/>", "<!DOCTYPE a><domain type='kvm'/>", "<domain>"])
def test_what_is_no_definition_is_refused(text: str) -> None:
    with pytest.raises(ImageBuildError):
        definition.checked(text, "web.xml")


def test_a_machine_has_the_version_s_disks_and_nothing_of_its_own() -> None:
    text = DEFINITION.replace("<name>web</name>", "<name>web</name><uuid>1</uuid><metadata/><title>x</title>")
    root = definition.machine(published("1", definition=text), [PATH], kvm=True)
    assert [root.find(tag) for tag in ("name", "uuid", "metadata", "title")] == [None] * 4
    disk = root.find("devices/disk")
    assert disk is not None
    assert disk.find("source").attrib == {"file": PATH}  # type: ignore[union-attr]
    assert disk.find("driver").attrib == {"name": "qemu", "type": "qcow2"}  # type: ignore[union-attr]
    assert disk.find("readonly") is None, "a machine writes to its disk"
    assert root.get("type") == "kvm"


def test_a_template_cannot_be_written_to() -> None:
    root = definition.machine(published("1"), [PATH], kvm=True, template=True)
    assert root.find("devices/disk/readonly") is not None
    sata = DEFINITION.replace('dev="vda" bus="virtio"', 'dev="sda" bus="sata"')
    root = definition.machine(published("1", definition=sata), [PATH], kvm=True, template=True)
    assert root.find("devices/disk/readonly") is None, "libvirt refuses read-only disks on SATA"


def test_a_host_without_kvm_gets_an_emulated_machine() -> None:
    root = definition.machine(published("1"), [PATH], kvm=False)
    assert root.get("type") == "qemu"
    assert root.find("cpu").get("mode") != "host-passthrough"  # type: ignore[union-attr]


def test_disks_and_images_must_match() -> None:
    with pytest.raises(ImageBuildError, match="has 1 disk, and the version 2 images"):
        definition.machine(published("1", disks=2), [PATH, PATH], kvm=True)


def test_the_pointer_has_the_record_in_its_metadata() -> None:
    state = first("web", published("1")).with_version(published("2"))
    text = definition.pointer(state, [PATH], uuid="8f1f3d36-0000-4000-8000-000000000000", kvm=True)
    root = ET.fromstring(text)
    assert root.findtext("name") == "web"
    assert root.findtext("uuid") == "8f1f3d36-0000-4000-8000-000000000000"
    assert "Do not start it" in (root.findtext("description") or "")
    found = root.find(f"metadata/{{{definition.NAMESPACE}}}template")
    assert found is not None
    assert found.attrib == {"name": "web", "version": "2", "sha256": published("2").files[0].sha256}
    assert definition.record_in(ET.tostring(found, encoding="unicode")) == found.text
    fresh = definition.pointer(state, [PATH], uuid="", kvm=True)
    assert ET.fromstring(fresh).find("uuid") is None


def test_a_hostile_version_s_definition_is_refused_again() -> None:
    bad = replace(published("1"), definition=DEFINITION.replace("<devices>", "<devices><shmem name='x'/>"))
    with pytest.raises(ImageBuildError, match="definition of version 1 contains <shmem"):
        definition.pointer(first("web", bad), [PATH], uuid="", kvm=True)
