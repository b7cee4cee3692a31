"""The machine that an image is for, as other platforms can be told: taken from its libvirt domain
definition.

The definition is a file from outside. Each value is checked here and becomes a number or one of a
few known words, because it goes into descriptors and into code that other programs run.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import Literal, TypeVar

from imagebuild.errors import UsageError
from imagebuild.verify.subject import Firmware

Bus = Literal["virtio", "scsi", "sata", "ide", "usb"]
CardModel = Literal["virtio", "e1000", "e1000e", "rtl8139"]
Chipset = Literal["q35", "pc", "virt", ""]
Architecture = Literal["x86_64", "aarch64"]

Word = TypeVar("Word", bound=str)

_BUSES: tuple[Bus, ...] = ("virtio", "scsi", "sata", "ide", "usb")
_CARDS: tuple[CardModel, ...] = ("virtio", "e1000", "e1000e", "rtl8139")
_ARCHITECTURES: tuple[Architecture, ...] = ("x86_64", "aarch64")
_CHIPSETS: tuple[tuple[str, Chipset], ...] = (
    (r"q35|pc-q35-.*", "q35"), (r"pc|pc-i440fx-.*", "pc"), (r"virt|virt-.*", "virt"),
)  # fmt: skip
"""Machine types with their versions, which depend on the QEMU that has them."""
_UNITS = {
    "b": 1, "bytes": 1, "KB": 10**3, "k": 1 << 10, "KiB": 1 << 10, "MB": 10**6, "M": 1 << 20, "MiB": 1 << 20,
    "GB": 10**9, "G": 1 << 30, "GiB": 1 << 30, "TB": 10**12, "T": 1 << 40, "TiB": 1 << 40,
}  # fmt: skip
"""libvirt's units of memory (formatdomain.html, "Memory Allocation")."""
_MEMORY = range(1 << 20, 1 << 46)
_VCPUS = range(1, 4097)
_MOST_CARDS = 8
_NUMBER = re.compile(r"\d{1,20}", re.ASCII)
_SYSTEM = re.compile(r"https?://([a-z0-9.-]{1,60})/([a-z0-9.-]{1,40})/", re.ASCII)


@dataclass(frozen=True)
class GuestMachine:
    """A machine: ``memory`` in bytes, the bus of its disks, and the models of its network cards.
    ``system`` is libosinfo's name of the operating system's family, such as ``debian``, or empty.
    """

    memory: int
    vcpus: int
    firmware: Firmware = "bios"
    architecture: Architecture = "x86_64"
    chipset: Chipset = ""
    bus: Bus = "virtio"
    cards: tuple[CardModel, ...] = ("virtio",)
    system: str = ""


def of_definition(domain: ET.Element, where: str) -> GuestMachine:
    """The machine of a domain definition. Raises UsageError, which names ``where``, for one that
    cannot be described elsewhere.
    """
    found = domain.find("vcpu")
    vcpus = _number(None if found is None else found.text, "number of vCPUs", where)
    if vcpus not in _VCPUS:
        raise UsageError(f"{where} has {vcpus} vCPUs, which cannot be right")
    kind = domain.find("os/type")
    architecture = "x86_64" if kind is None else kind.get("arch", "x86_64")
    if architecture not in _ARCHITECTURES:
        raise UsageError(
            f"{where} is of the architecture {architecture[:40]!r}", f"supported: {', '.join(_ARCHITECTURES)}"
        )
    target = domain.find("devices/disk/target")
    cards = domain.findall("devices/interface")[:_MOST_CARDS]
    return GuestMachine(
        memory=_memory(domain, where),
        vcpus=vcpus,
        firmware=_firmware(domain),
        architecture=_one_of(architecture, _ARCHITECTURES),
        chipset=_chipset("" if kind is None else kind.get("machine", "")),
        bus=_one_of("" if target is None else target.get("bus", ""), _BUSES),
        cards=tuple(_one_of(_attribute(card.find("model"), "type"), _CARDS) for card in cards),
        system=_system(domain),
    )


def _memory(domain: ET.Element, where: str) -> int:
    found = domain.find("memory")
    number = _number(None if found is None else found.text, "memory", where)
    size = number * _UNITS.get(_attribute(found, "unit") or "KiB", 0)
    if size not in _MEMORY:
        raise UsageError(f"{where} has {size} bytes of memory, which cannot be right")
    return size


def _number(text: str | None, what: str, where: str) -> int:
    stripped = (text or "").strip()
    if not _NUMBER.fullmatch(stripped):
        raise UsageError(f"{where} is not usable as a domain definition: it has no {what}")
    return int(stripped)


def _firmware(domain: ET.Element) -> Firmware:
    system = domain.find("os")
    loader = None if system is None else system.find("loader")
    if system is None or (system.get("firmware") != "efi" and _attribute(loader, "type") != "pflash"):
        return "bios"
    features = {one.get("name"): one.get("enabled") for one in system.findall("firmware/feature")}
    secure = _attribute(loader, "secure") == "yes" or features.get("secure-boot") == "yes"
    return "uefi-secure" if secure else "uefi"


def _chipset(machine: str) -> Chipset:
    return next((name for pattern, name in _CHIPSETS if re.fullmatch(pattern, machine)), "")


def _system(domain: ET.Element) -> str:
    """From libosinfo's identifier of the system, such as ``http://debian.org/debian/13``."""
    for element in domain.iterfind("metadata//"):
        if element.tag.endswith("}os") and (match := _SYSTEM.match(element.get("id", ""))):
            return match[2]
    return ""


def _attribute(element: ET.Element | None, name: str) -> str:
    return "" if element is None else element.get(name, "")


def _one_of(text: str, words: tuple[Word, ...]) -> Word:
    """The word, or the first one if it is none of them."""
    return next((word for word in words if word == text), words[0])
