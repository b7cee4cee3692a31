"""The domain definition of a machine that is made from a template. Pure."""

from __future__ import annotations

import re
import secrets
import xml.etree.ElementTree as ET
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from imagebuild.errors import UsageError
from imagebuild.host import safe_xml
from imagebuild.image import nocloud
from imagebuild.publish import definition
from imagebuild.publish.first_boot import CREDENTIAL
from imagebuild.publish.state import Published

_ELEMENT = f"{{{definition.INSTANCE}}}instance"
_MAC = re.compile(r"""<mac address=['"]([0-9A-Fa-f:]{17})['"]""")
_NETWORK = re.compile(r"(?:bridge=)?[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
USER = "user"


@dataclass(frozen=True)
class InstanceOrigin:
    """Where a machine comes from, as its metadata say; ``sha256`` is that of the system disk's file."""

    template: str
    version: str
    sha256: str


@dataclass(frozen=True)
class HardwareChoice:
    """What differs from the template's machine: ``memory`` in bytes; each of ``networks`` is a card:
    the name of a libvirt network, ``bridge=NAME`` or ``user``. Without any, the template's cards stay.
    """

    memory: int | None = None
    vcpus: int | None = None
    networks: tuple[str, ...] = ()


@dataclass(frozen=True)
class InstanceIdentity:
    """Of a new machine."""

    name: str
    uuid: str


def defined(
    version: Published,
    identity: InstanceIdentity,
    origin: InstanceOrigin,
    paths: Sequence[str],
    choice: HardwareChoice,
    *,
    taken: Collection[str],
    kvm: bool,
    seed: str = "",
    credentials: Sequence[str] = (),
) -> ET.Element:
    """The definition. ``paths`` are its disks, ``seed`` is the ISO image for cloud-init, ``taken`` are
    the MAC addresses that others have. Raises UsageError for a choice that the machine cannot have.
    """
    root = definition.machine(version, paths, kvm=kvm)
    _resize(root, choice)
    if choice.networks:
        _use_networks(root, choice.networks)
    _new_addresses(root, taken)
    if seed:
        nocloud.attach(root, seed)
    if credentials:
        _add_credentials(root, credentials)
    metadata = ET.Element("metadata")
    said = {"template": origin.template, "version": origin.version, "sha256": origin.sha256}
    ET.SubElement(metadata, _ELEMENT, said)
    texts = {"name": identity.name, "uuid": identity.uuid, "title": f"{identity.name} ({origin.template})"}
    heading = [ET.Element(tag) for tag in texts]
    for element, text in zip(heading, texts.values(), strict=True):
        element.text = text
    for at, element in enumerate([*heading, metadata]):
        root.insert(at, element)
    return root


def text(root: ET.Element) -> str:
    """A definition as libvirt takes it."""
    ET.register_namespace("imagebuild", definition.INSTANCE)
    return ET.tostring(root, encoding="unicode")


def origin(element: str) -> InstanceOrigin:
    """What the metadata of a machine say; somebody may have edited them. Raises UsageError.

    libvirt returns the element without its namespace.
    """
    root = safe_xml.any_root(element, "the metadata of a domain", "record of a machine")
    return InstanceOrigin(root.get("template", ""), root.get("version", ""), root.get("sha256", ""))


def parsed(text: str) -> ET.Element:
    """A definition that libvirt has. Raises UsageError."""
    return safe_xml.parsed(text, "the definition of a domain")


def disks(text: str) -> list[str]:
    """The paths of all images that a definition names."""
    root = parsed(text)
    return [path for source in root.findall("devices/disk/source") if (path := source.get("file")) is not None]


def cards(root: ET.Element) -> list[str]:
    """The MAC addresses of a machine."""
    return [address for found in root.findall("devices/interface/mac") if (address := found.get("address"))]


def networks(root: ET.Element) -> list[str]:
    """The libvirt networks of a machine."""
    found = (source.get("network") for source in root.findall("devices/interface/source"))
    return list(dict.fromkeys(name for name in found if name is not None))


def without_credentials(text: str) -> str | None:
    """A definition without credentials of systemd; None if it has none."""
    root = parsed(text)
    changed = False
    for strings in root.findall("sysinfo/oemStrings"):
        for entry in strings.findall("entry"):
            if (entry.text or "").strip().startswith(CREDENTIAL):
                strings.remove(entry)
                changed = True
    if not changed:
        return None
    for info in root.findall("sysinfo"):
        if not any(len(part) for part in info):
            root.remove(info)
            for parent in root.findall("os"):
                for smbios in parent.findall("smbios"):
                    parent.remove(smbios)
    ET.register_namespace("imagebuild", definition.INSTANCE)
    return ET.tostring(root, encoding="unicode")


def addresses_in(definitions: Iterable[str]) -> set[str]:
    """The MAC addresses in the definitions of domains, in lower case."""
    return {found.lower() for one in definitions for found in _MAC.findall(one)}


def _resize(root: ET.Element, choice: HardwareChoice) -> None:
    numa, topology = root.find("cpu/numa"), root.find("cpu/topology")
    if numa is not None and (choice.memory is not None or choice.vcpus is not None):
        raise UsageError(
            "the template's machine has NUMA nodes, which name its memory and CPUs: --memory and --vcpus cannot be used"
        )
    if choice.memory is not None:
        for tag in ("memory", "currentMemory"):
            for found in root.findall(tag):
                root.remove(found)
            element = ET.SubElement(root, tag, unit="KiB")
            element.text = str(choice.memory >> 10)
    if choice.vcpus is not None:
        for tag in ("vcpu", "cputune"):
            for found in root.findall(tag):
                root.remove(found)
        ET.SubElement(root, "vcpu", placement="static").text = str(choice.vcpus)
        if topology is not None:
            cpu = root.find("cpu")
            assert cpu is not None
            cpu.remove(topology)


def _use_networks(root: ET.Element, wanted: Sequence[str]) -> None:
    devices = root.find("devices")
    assert devices is not None  # it has disks
    cards = devices.findall("interface")
    models = [found for card in cards if (found := card.find("model")) is not None]
    model = models[0].get("type", "virtio") if models else "virtio"
    for card in cards:
        devices.remove(card)
    for one in wanted:
        if not _NETWORK.fullmatch(one):
            raise UsageError(f"--network {one!r}: expected the name of a network, bridge=NAME, or user")
        kind, _, name = one.rpartition("=")
        element = ET.SubElement(devices, "interface", type=USER if one == USER else kind or "network")
        if one != USER:
            ET.SubElement(element, "source", {kind or "network": name})
        ET.SubElement(element, "model", type=model)


def _new_addresses(root: ET.Element, taken: Collection[str]) -> None:
    """A new MAC address for each card, never that of the recipe: all machines would have it."""
    used = set(taken)
    for card in root.findall("devices/interface"):
        for found in card.findall("mac"):
            card.remove(found)
        while (address := _random_mac()) in used:
            pass
        used.add(address)
        card.insert(0, ET.Element("mac", address=address))


def _random_mac() -> str:
    """An address with the prefix of QEMU and KVM."""
    return "52:54:00:" + ":".join(f"{byte:02x}" for byte in secrets.token_bytes(3))


def _add_credentials(root: ET.Element, strings: Sequence[str]) -> None:
    info = ET.SubElement(root, "sysinfo", type="smbios")
    entries = ET.SubElement(info, "oemStrings")
    for one in strings:
        ET.SubElement(entries, "entry").text = one
    system = root.find("os")
    if system is None:
        raise UsageError("the template's machine has no firmware that could pass a host name or SSH keys")
    ET.SubElement(system, "smbios", mode="sysinfo")
