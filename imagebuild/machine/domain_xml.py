"""The libvirt domain definition of the machine that an image is for, for use with ``virsh define``.
Pure.

It is portable: it has no emulator or firmware paths, no UUID, and a MAC address only if the recipe
sets one. libvirt adds these when the domain is defined. The format is libvirt's
(formatdomain.html).
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from imagebuild.machine import choices, osinfo
from imagebuild.machine.choices import VirtType
from imagebuild.machine.device_xml import add_devices
from imagebuild.recipe.model.machine import Hardware, Machine
from imagebuild.recipe.model.recipe import Recipe

IMAGES = PurePosixPath("/var/lib/libvirt/images")
"""The folder in which the definition expects the images: that of libvirt's pool ``default``."""
_DEVICES = {"virtio": "vd", "scsi": "sd", "sata": "sd", "ide": "hd", "xen": "xvd"}


@dataclass(frozen=True)
class DomainDisk:
    """A disk of the domain: its file on the host, its libvirt bus, and its device name, such as
    ``vda``.
    """

    path: PurePosixPath
    bus: str
    device: str


def image_format(recipe: Recipe) -> Literal["qcow2", "raw"]:
    """The image format in the definition: qcow2, or raw, to which images in other formats must be
    converted.
    """
    return "qcow2" if "qcow2" in recipe.output.format else "raw"


def image_names(recipe: Recipe, suffix: str) -> tuple[str, ...]:
    """The file names of a recipe's images in a format, the system disk's first: ``web.qcow2``,
    ``web-disk2.qcow2``.
    """
    first = recipe.name
    numbers = range(2, len(recipe.extra_disks) + 2)
    return (f"{first}.{suffix}", *(f"{first}-disk{number}.{suffix}" for number in numbers))


def virt_type(machine: Machine) -> VirtType:
    """The hypervisor in the definition: ``auto`` is KVM, which the image is for."""
    return "kvm" if machine.virt_type == "auto" else machine.virt_type


def definition(recipe: Recipe, *, name: str | None = None, images: PurePosixPath = IMAGES) -> str:
    """The domain XML of ``recipe``'s machine, with images in the folder ``images``. ``name``
    overrides the recipe's.
    """
    machine, kind, arch = recipe.machine, virt_type(recipe.machine), recipe.os.arch
    disks = tuple(_disks(recipe, images, kind))
    domain = ET.Element("domain", type=kind)
    ET.SubElement(domain, "name").text = name or recipe.name
    _metadata(domain, recipe)
    _memory(domain, machine)
    _vcpus(domain, machine)
    _os(domain, recipe, kind, [disk.bus for disk in disks])
    _features(domain, machine, kind, arch)
    _cpu(domain, machine, kind, arch)
    ET.SubElement(domain, "clock", offset="utc")
    for event, action in (("poweroff", "destroy"), ("reboot", "restart"), ("crash", "destroy")):
        ET.SubElement(domain, f"on_{event}").text = action
    add_devices(domain, machine, disks, image_format(recipe), kind, arch)
    ET.indent(domain)
    return ET.tostring(domain, encoding="unicode") + "\n"


def device_names(buses: Sequence[str]) -> tuple[str, ...]:
    """The device names of disks on these buses, in order: ``vda``, ``vdb``, ``sda``."""
    taken: Counter[str] = Counter()
    names = []
    for bus in buses:
        prefix = _DEVICES[bus]
        names.append(prefix + _letters(taken[prefix]))
        taken[prefix] += 1
    return tuple(names)


def _letters(number: int) -> str:
    """a to z, then aa and so on, as the kernel names disks."""
    text = ""
    number += 1
    while number:
        number, letter = divmod(number - 1, 26)
        text = chr(ord("a") + letter) + text
    return text


def _disks(recipe: Recipe, images: PurePosixPath, kind: VirtType) -> Iterator[DomainDisk]:
    buses = [choices.bus(disk.bus, kind) for disk in recipe.disks]
    for name, bus, device in zip(image_names(recipe, image_format(recipe)), buses, device_names(buses), strict=True):
        yield DomainDisk(images / name, bus, device)


def _metadata(domain: ET.Element, recipe: Recipe) -> None:
    full = osinfo.full_id(recipe.os.osinfo) if recipe.os.osinfo else None
    if full is not None:
        metadata = ET.SubElement(domain, "metadata")
        known = ET.SubElement(metadata, "libosinfo:libosinfo", {"xmlns:libosinfo": osinfo.NAMESPACE})
        ET.SubElement(known, "libosinfo:os", id=full)


def _memory(domain: ET.Element, machine: Hardware) -> None:
    ET.SubElement(domain, "memory", unit="KiB").text = str(machine.memory.maximum // 1024)
    ET.SubElement(domain, "currentMemory", unit="KiB").text = str(machine.memory.current // 1024)
    if machine.huge_pages is False and machine.memory_sharing:
        return
    backing = ET.SubElement(domain, "memoryBacking")
    if machine.huge_pages is not False:
        pages = ET.SubElement(backing, "hugepages")
        if machine.huge_pages is not True:
            ET.SubElement(pages, "page", size=str(machine.huge_pages // 1024), unit="KiB")
    if not machine.memory_sharing:
        ET.SubElement(backing, "nosharepages")


def _vcpus(domain: ET.Element, machine: Hardware) -> None:
    vcpus = machine.vcpus
    attributes = {"placement": "static"}
    if vcpus.cpuset is not None:
        attributes["cpuset"] = vcpus.cpuset
    if vcpus.current != vcpus.maximum:
        attributes["current"] = str(vcpus.current)
    ET.SubElement(domain, "vcpu", attributes).text = str(vcpus.maximum)
    if machine.disk.iothread:
        ET.SubElement(domain, "iothreads").text = choices.IOTHREAD
    if vcpus.pin:
        tuning = ET.SubElement(domain, "cputune")
        for number, cpus in sorted(vcpus.pin.items()):
            ET.SubElement(tuning, "vcpupin", vcpu=str(number), cpuset=cpus)


def _os(domain: ET.Element, recipe: Recipe, kind: VirtType, buses: Sequence[str]) -> None:
    firmware, arch = recipe.machine.firmware, recipe.os.arch
    system = ET.SubElement(domain, "os")
    ET.SubElement(system, "type", arch=arch, machine=choices.chipset(kind, arch, buses)).text = "hvm"
    if firmware != "bios":
        system.set("firmware", "efi")
        features = choices.firmware_features(firmware, kind)
        wanted = ET.SubElement(system, "firmware") if features else system
        for feature, enabled in features:
            ET.SubElement(wanted, "feature", enabled="yes" if enabled else "no", name=feature)
        if firmware == "uefi-secure":
            ET.SubElement(system, "loader", secure="yes")
    ET.SubElement(system, "boot", dev="hd")


def _features(domain: ET.Element, machine: Machine, kind: VirtType, arch: str) -> None:
    features = ET.SubElement(domain, "features")
    ET.SubElement(features, "acpi")
    if arch == "x86_64":
        ET.SubElement(features, "apic")
    if kind == "xen":
        ET.SubElement(features, "pae")
    if machine.firmware == "uefi-secure":
        ET.SubElement(features, "smm", state="on")


def _cpu(domain: ET.Element, machine: Hardware, kind: VirtType, arch: str) -> None:
    wanted, topology = choices.cpu(machine, kind, arch), machine.vcpus.topology
    if wanted is None and topology is None and not machine.numa:
        return
    cpu = ET.SubElement(domain, "cpu")
    if wanted is not None:
        cpu.set("mode", wanted.mode)
        if wanted.mode == "custom":
            cpu.set("match", "exact")
            ET.SubElement(cpu, "model").text = wanted.model
    if topology is not None:
        sockets, cores, threads = map(str, topology)
        ET.SubElement(cpu, "topology", sockets=sockets, dies="1", cores=cores, threads=threads)
    if wanted is not None:
        for feature, policy in wanted.features.items():
            ET.SubElement(cpu, "feature", policy=policy, name=feature)
    if machine.numa:
        numa = ET.SubElement(cpu, "numa")
        for number, cell in enumerate(machine.numa):
            memory = str(cell.memory // 1024)
            ET.SubElement(numa, "cell", id=str(number), cpus=cell.cpus, memory=memory, unit="KiB")
