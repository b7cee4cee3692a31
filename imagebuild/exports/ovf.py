"""The descriptor of an OVA: OVF 1.1 (DMTF DSP0243 1.1.0, schema DSP8023). Pure.

The sub-elements of an Item are in the order of CIM's schema, which is alphabetical. The devices are
those that VMware and VirtualBox both have and for which also Debian's cloud kernel has drivers: IDE
disks (unless the machine has SATA), and VmxNet3 network cards, for which VirtualBox takes the usual
card of the guest's system.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass

from imagebuild.errors import UsageError
from imagebuild.exports.export_source import ExportSource
from imagebuild.exports.guest_machine import CardModel, GuestMachine

MOST_DISKS = 4
"""Two on each of two IDE controllers."""
_NAMESPACES = {
    "xmlns": "http://schemas.dmtf.org/ovf/envelope/1",
    "xmlns:ovf": "http://schemas.dmtf.org/ovf/envelope/1",
    "xmlns:rasd": "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData",
    "xmlns:vssd": "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData",
    "xmlns:vmw": "http://www.vmware.com/schema/ovf",
}
_VMDK = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"
_HARDWARE = "vmx-13"
"""VMware's hardware version of ESXi 6.5, the first one with Secure Boot."""
_NETWORK = "VM Network"
"""The name of the first network of an ESXi host."""
_MIB = 1 << 20
_CPU, _MEMORY, _IDE, _NETWORK_CARD, _DISK, _SATA = 3, 4, 5, 10, 17, 20
"""Resource types of CIM_ResourceAllocationSettingData."""
_SYSTEMS = {"debian": 96, "ubuntu": 94, "rhel": 80, "centos": 107, "ol": 109}
_LINUX = 101
"""Values of CIM_OperatingSystem.OSType: Debian 64-Bit and so on, and Linux 64-Bit."""
_CARDS: dict[CardModel, str] = {"virtio": "VmxNet3", "e1000": "E1000", "e1000e": "E1000e", "rtl8139": "E1000"}


@dataclass(frozen=True)
class OvfDisk:
    """A vmdk in the package: the file's name and size, and the disk's ``capacity``, in bytes."""

    name: str
    size: int
    capacity: int


def descriptor(source: ExportSource, disks: Sequence[OvfDisk]) -> str:
    """The descriptor of a machine with these disks. Raises UsageError for too many of them."""
    if len(disks) > MOST_DISKS:
        raise UsageError(f"{source.name} has {len(disks)} disks; an OVA can have {MOST_DISKS}")
    envelope = ET.Element("Envelope", _NAMESPACES)
    references = ET.SubElement(envelope, "References")
    section = _section(envelope, "DiskSection", "The disks of the machine")
    for number, disk in enumerate(disks, start=1):
        file = {"ovf:id": f"file{number}", "ovf:href": disk.name, "ovf:size": str(disk.size)}
        ET.SubElement(references, "File", file)
        ET.SubElement(section, "Disk", {
            "ovf:diskId": f"vmdisk{number}", "ovf:fileRef": f"file{number}", "ovf:capacity": str(disk.capacity),
            "ovf:capacityAllocationUnits": "byte", "ovf:format": _VMDK,
        })  # fmt: skip
    network = ET.SubElement(_section(envelope, "NetworkSection", "The networks"), "Network", {"ovf:name": _NETWORK})
    ET.SubElement(network, "Description").text = "The network of all cards"
    system = ET.SubElement(envelope, "VirtualSystem", {"ovf:id": source.name})
    ET.SubElement(system, "Info").text = "A virtual machine"
    ET.SubElement(system, "Name").text = source.stem
    _about(system, source)
    _hardware(system, source, len(disks))
    ET.indent(envelope)
    return ET.tostring(envelope, encoding="unicode", xml_declaration=False).join(
        ('<?xml version="1.0" encoding="UTF-8"?>\n', "\n")
    )


def _about(system: ET.Element, source: ExportSource) -> None:
    if source.description:
        ET.SubElement(_section(system, "AnnotationSection", "What this is"), "Annotation").text = source.description
    if source.version:
        product = _section(system, "ProductSection", "The image")
        ET.SubElement(product, "Product").text = source.name
        ET.SubElement(product, "FullVersion").text = source.version
    kind = {"ovf:id": str(_SYSTEMS.get(source.machine.system, _LINUX)), "vmw:osType": "otherLinux64Guest"}
    known = ET.SubElement(system, "OperatingSystemSection", kind)
    ET.SubElement(known, "Info").text = "The operating system"


def _hardware(system: ET.Element, source: ExportSource, disks: int) -> None:
    machine = source.machine
    hardware = _section(system, "VirtualHardwareSection", "The virtual hardware")
    about = ET.SubElement(hardware, "System")
    for name, text in (
        ("ElementName", "Virtual Hardware Family"), ("InstanceID", "0"),
        ("VirtualSystemIdentifier", source.name), ("VirtualSystemType", _HARDWARE),
    ):  # fmt: skip
        ET.SubElement(about, f"vssd:{name}").text = text
    items = _Items(hardware)
    items.add(_CPU, f"{machine.vcpus} virtual CPUs", AllocationUnits="hertz * 10^6", VirtualQuantity=machine.vcpus)
    # virt-v2v reads MiB, whatever the units are
    size = -(-machine.memory // _MIB)
    items.add(_MEMORY, f"{size} MiB of memory", AllocationUnits="byte * 2^20", VirtualQuantity=size)
    _add_disks(items, machine, disks)
    for number, card in enumerate(machine.cards, start=1):
        items.add(
            _NETWORK_CARD,
            f"Network card {number}",
            AutomaticAllocation="true",
            Connection=_NETWORK,
            ResourceSubType=_CARDS[card],
        )
    _add_firmware(hardware, machine)


def _add_disks(items: _Items, machine: GuestMachine, disks: int) -> None:
    if machine.bus == "sata":
        sata = items.add(_SATA, "SATA controller", Address=0, ResourceSubType="vmware.sata.ahci")
        parents = [(sata, number) for number in range(disks)]
    else:
        ide = [items.add(_IDE, f"IDE controller {number}", Address=number) for number in range(2)]
        parents = [(ide[number // 2], number % 2) for number in range(disks)]
    for number, (parent, place) in enumerate(parents, start=1):
        resource = f"ovf:/disk/vmdisk{number}"
        items.add(_DISK, f"Disk {number}", AddressOnParent=place, HostResource=resource, Parent=parent)


def _add_firmware(hardware: ET.Element, machine: GuestMachine) -> None:
    """VMware's settings; others ignore them, and start with a BIOS."""
    if machine.firmware == "bios":
        return
    settings = [("firmware", "efi")]
    if machine.firmware == "uefi-secure":
        settings.append(("bootOptions.efiSecureBootEnabled", "true"))
    for key, value in settings:
        ET.SubElement(hardware, "vmw:Config", {"ovf:required": "false", "vmw:key": key, "vmw:value": value})


def _section(parent: ET.Element, tag: str, info: str) -> ET.Element:
    section = ET.SubElement(parent, tag)
    ET.SubElement(section, "Info").text = info
    return section


class _Items:
    """The Items of a hardware section, numbered from 1."""

    def __init__(self, hardware: ET.Element) -> None:
        self._hardware = hardware
        self._last = 0

    def add(self, kind: int, name: str, **settings: object) -> int:
        """Add an Item, and return its number."""
        self._last += 1
        every = {**settings, "ElementName": name, "InstanceID": self._last, "ResourceType": kind}
        item = ET.SubElement(self._hardware, "Item")
        for key in sorted(every):
            ET.SubElement(item, f"rasd:{key}").text = str(every[key])
        return self._last
