"""Combinations of the machine's keys that cannot work, from the documentation and sources of
libvirt and QEMU.

`formatdomain.html` says what libvirt supports for QEMU only. For Xen, the source is how libvirt's
driver (libxl) translates a definition.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from imagebuild.recipe.model.cpu import numa_findings
from imagebuild.recipe.model.devices import network_findings
from imagebuild.schema import fields as f
from imagebuild.schema.findings import Finding

if TYPE_CHECKING:
    from imagebuild.recipe.model.machine import Hardware, Machine
    from imagebuild.recipe.model.recipe import Recipe

_PAGE_SIZES = {
    "x86_64": ("2MiB", "1GiB"),
    "aarch64": ("64KiB", "2MiB", "32MiB", "512MiB", "1GiB", "16GiB"),
}
"""Huge page sizes of Linux, for all of its base page sizes
(Documentation/arch/arm64/hugetlbpage.rst).
"""
_MOST_WITHOUT_IOMMU = 255
"""Maximum of vCPUs of an x86 machine; more need an IOMMU with extended interrupt mode (libvirt's
qemu_validate.c).
"""
_IDE_DISKS = 4


def hardware_findings(hardware: Hardware) -> Iterator[Finding]:
    """Problems within ``machine`` or ``vm``; routes are relative to that section."""
    memory = hardware.memory
    yield from numa_findings(hardware.numa, hardware.vcpus.maximum, memory.maximum, f.size_text(memory.maximum))
    yield from network_findings(hardware.networks)
    yield from _huge_page_findings(hardware)
    if memory.current != memory.maximum and not hardware.balloon:
        message = "without the balloon the guest has all its memory from the start: current must equal maximum"
        yield Finding(("balloon",), message, "set balloon: true, or give one memory size")
    if hardware.virt_type == "qemu" and hardware.cpu is not None and hardware.cpu.model == "host-passthrough":
        yield Finding(("cpu",), "an emulated CPU cannot be the host's CPU", "set cpu: maximum, or virt_type: kvm")
    if hardware.virt_type == "xen":
        yield from _xen_findings(hardware)


def _huge_page_findings(hardware: Hardware) -> Iterator[Finding]:
    size = hardware.huge_pages
    if isinstance(size, bool):
        return
    for route, memory in (
        (("huge_pages",), hardware.memory.maximum),
        *((("numa", at, "memory"), cell.memory) for at, cell in enumerate(hardware.numa)),
    ):
        if memory % size:
            yield Finding(route, f"{f.size_text(memory)} of memory cannot be divided into pages of {f.size_text(size)}")


def _xen_findings(hardware: Hardware) -> Iterator[Finding]:
    """What libvirt supports for QEMU only."""

    def missing(route: tuple[str | int, ...], what: str, hint: str | None = None) -> Finding:
        return Finding(route, f"Xen has no {what}", hint)

    for key, what in (
        ("huge_pages", "huge pages of the host for a guest"),
        ("tpm", "emulated TPM in libvirt"),
        ("guest_agent", "virtio channel for QEMU's guest agent"),
        ("rng", "virtio random number generator"),
    ):
        if getattr(hardware, key):
            yield missing((key,), what, f"set {key}: false")
    if not hardware.balloon:
        yield Finding(("balloon",), "Xen's balloon cannot be switched off", "set balloon: true")
    if not hardware.memory_sharing:
        yield missing(("memory_sharing",), "KSM that could merge pages", "omit the key")
    if hardware.disk.io is not None:
        yield missing(("disk", "io"), "choice of QEMU's I/O mode", "omit the key")
    if hardware.disk.iothread:
        yield missing(("disk", "iothread"), "I/O threads")
    if hardware.cpu is not None and hardware.cpu.model != "host-passthrough":
        yield missing(("cpu",), "CPU models", "set cpu: host-passthrough, or omit the key")
    for at, card in enumerate(hardware.networks):
        if card.type == "user":
            yield missing(("networks", at), "network of type user: that is QEMU's own", "use nat or a bridge")
        if card.model in ("e1000e", "igb"):
            yield missing(("networks", at, "model"), f"network card {card.model}", "virtio selects Xen's own card")


def machine_findings(recipe: Recipe) -> Iterator[Finding]:
    """Problems between the machine, the install VM, the disks and the architecture."""
    for section in ("machine", "vm"):
        hardware: Hardware = getattr(recipe, section)
        for found in (*_disk_findings(recipe, hardware), *_arch_findings(recipe, hardware)):
            yield Finding((section, *found.route), found.message, found.hint, found.at_key)
    yield from _bus_findings(recipe)
    yield from _firmware_findings(recipe, recipe.machine)


def _disk_findings(recipe: Recipe, hardware: Hardware) -> Iterator[Finding]:
    buses = [recipe.disk.bus, *(disk.bus for disk in recipe.extra_disks)]
    if hardware.disk.iothread and (other := next((bus for bus in buses if bus not in ("virtio", "scsi")), None)):
        yield Finding(("disk", "iothread"), f"I/O threads need disks on the virtio or scsi bus, but one is on {other}")


def _arch_findings(recipe: Recipe, hardware: Hardware) -> Iterator[Finding]:
    arch, sizes = recipe.os.arch, _PAGE_SIZES[recipe.os.arch]
    if not isinstance(hardware.huge_pages, bool) and f.size_text(hardware.huge_pages) not in sizes:
        message = f"{arch} has no pages of {f.size_text(hardware.huge_pages)}"
        yield Finding(("huge_pages",), message, f"available: {', '.join(sizes)}")
    if arch == "x86_64" and hardware.vcpus.maximum > _MOST_WITHOUT_IOMMU:
        message = f"an x86_64 machine has at most {_MOST_WITHOUT_IOMMU} vCPUs, found {hardware.vcpus.maximum}"
        yield Finding(("vcpus",), message)
    if arch == "aarch64":
        if hardware.virt_type == "xen":
            yield Finding(("virt_type",), "Xen is supported on x86_64 only")
        if hardware.cpu is not None and hardware.cpu.model == "host-model" and hardware.virt_type != "qemu":
            yield Finding(("cpu",), "libvirt does not support host-model on aarch64", "set cpu: host-passthrough")


def _bus_findings(recipe: Recipe) -> Iterator[Finding]:
    places = [(("disk", "bus"), recipe.disk.bus)]
    places += [(("extra_disks", at, "bus"), disk.bus) for at, disk in enumerate(recipe.extra_disks)]  # type: ignore[misc]
    xen = "xen" in (recipe.machine.virt_type, recipe.vm.virt_type)
    at_ide = 0
    for route, bus in places:
        at_ide += bus == "ide"
        if bus == "ide" and recipe.os.arch == "aarch64":
            yield Finding(route, "aarch64 machines have no IDE", "use virtio, scsi or sata")
        elif bus == "ide" and recipe.machine.firmware == "uefi-secure":
            yield Finding(route, "Secure Boot needs the machine q35, which has no IDE", "use virtio, scsi or sata")
        elif bus == "ide" and at_ide > _IDE_DISKS:
            yield Finding(route, f"IDE supports at most {_IDE_DISKS} disks", "use virtio, scsi or sata")
        elif bus == "sata" and xen:
            yield Finding(route, "Xen has no SATA controller", "virtio selects Xen's own disk")


def _firmware_findings(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    firmware, route = machine.firmware, ("machine", "firmware")
    if recipe.os.arch == "aarch64" and firmware == "bios":
        yield Finding(
            route if "firmware" in machine.model_fields_set else ("os", "arch"),
            "aarch64 machines have no BIOS",
            "set machine.firmware: uefi",
        )
    elif recipe.os.arch == "aarch64" and firmware == "uefi-secure":
        yield Finding(route, "libvirt supports Secure Boot on x86_64 only", "set firmware: uefi")
    elif machine.virt_type == "xen" and firmware == "uefi-secure":
        yield Finding(route, "libvirt supports Secure Boot with QEMU and KVM only", "set firmware: uefi")
