"""The domain definitions of a template on a host: checked, adapted to the host, named. Pure.

The definition beside an artifact becomes a definition on hosts, where it could name devices, files and
programs. So only elements that ``machine/domain_xml.py`` writes are accepted, with the values that it
can write. What a host cannot do is replaced.
"""

from __future__ import annotations

import copy
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence

from imagebuild.errors import ImageBuildError
from imagebuild.host import safe_xml
from imagebuild.printable import counted
from imagebuild.publish.state import Published, TemplateState, encoded

NAMESPACE = "urn:imagebuild:template:1"
"""Of the element in a pointer domain's metadata; its text is the template's record."""
INSTANCE = "urn:imagebuild:instance:1"
"""Of the element in the metadata of a domain that was made from a template."""
_HARDWARE = frozenset(
    [
        "memory",
        "currentMemory",
        "memoryBacking",
        "hugepages",
        "page",
        "nosharepages",
        "vcpu",
        "iothreads",
        "cputune",
        "vcpupin",
        "os",
        "type",
        "firmware",
        "feature",
        "loader",
        "boot",
        "features",
        "acpi",
        "apic",
        "pae",
        "smm",
        "cpu",
        "model",
        "topology",
        "numa",
        "cell",
        "clock",
        "on_poweroff",
        "on_reboot",
        "on_crash",
        "devices",
        "memballoon",
        "input",
        "graphics",
        "listen",
        "video",
        "name",
        "metadata",
        "uuid",
        "description",
        "title",
    ]
)
_DEVICES = frozenset(["disk", "controller", "interface", "serial", "console", "channel", "rng", "tpm"])
_INNER = frozenset(["driver", "source", "target", "mac", "model", "backend"])
_LIBOSINFO = "{http://libosinfo.org/xmlns/libvirt/domain/1.0}"
_RANDOM = frozenset(("/dev/urandom", "/dev/random"))
_FIXED: dict[str, frozenset[str]] = {
    "interface": frozenset(("user", "network", "bridge")),
    "serial": frozenset(("pty",)),
    "console": frozenset(("pty",)),
    "channel": frozenset(("unix", "spicevmc")),
    "tpm": frozenset(),
    "disk": frozenset(("file",)),
    "graphics": frozenset(("vnc", "spice")),
}
"""The values that ``type`` of a device may have."""
_SOURCES = {"interface": {"network", "bridge"}, "disk": {"file"}}
"""The attributes that ``source`` of a device may have; others name files and sockets of the host."""
_VALUE = re.compile(r"[\w .,:+^=-]*")


def checked(text: str, where: str) -> ET.Element:
    """A definition that names nothing of a host except a network, a bridge and its disks.

    Raises UsageError for what is no definition, ImageBuildError for an element that is not accepted.
    """
    root = safe_xml.parsed(text, where)
    if root.get("type") not in ("kvm", "qemu", "xen"):
        raise ImageBuildError(f"{where} describes a machine of type {root.get('type')!r}, which is not supported")
    for parent in root.iter():
        for child in parent:
            _check(parent, child, where)
    return root


def _check(parent: ET.Element, child: ET.Element, where: str) -> None:
    tag = child.tag
    known = (
        tag.startswith(_LIBOSINFO)
        or (parent.tag == "devices" and (tag in _DEVICES or tag in _HARDWARE))
        or (parent.tag in _DEVICES and tag in _INNER)
        or (parent.tag != "devices" and tag in _HARDWARE)
    )
    if not known:
        raise _refused(child, where)
    if tag in _FIXED and parent.tag == "devices" and _FIXED[tag] and child.get("type") not in _FIXED[tag]:
        raise _refused(child, where)
    if tag == "source" and not set(child.attrib) <= _SOURCES.get(parent.tag, set()):
        raise _refused(child, where)
    if tag == "backend":
        emulator = parent.tag == "tpm" and child.get("type") == "emulator" and len(child) == 0
        random = parent.tag == "rng" and child.get("model") == "random" and (child.text or "").strip() in _RANDOM
        if not emulator and not random:
            raise _refused(child, where)
        return
    if tag.startswith(_LIBOSINFO) or (tag == "source" and parent.tag == "disk") or tag in ("description", "title"):
        return
    if not all(_VALUE.fullmatch(value) for value in (*child.attrib.values(), (child.text or "").strip())):
        raise _refused(child, where)


def _refused(element: ET.Element, where: str) -> ImageBuildError:
    shown = ET.tostring(element, encoding="unicode").strip().split("\n")[0][:120]
    return ImageBuildError(
        f"{where} contains {shown}, which imagebuild does not write and therefore does not send to hosts",
        "restore the file, or build the image again",
    )


def machine(version: Published, paths: Sequence[str], *, kvm: bool, template: bool = False) -> ET.Element:
    """The definition of a machine with the disks of a version in ``paths``, without name, UUID and
    metadata. ``kvm`` is whether the host has KVM; else it is emulated. With ``template`` the disks
    cannot be written to, as far as their bus allows it.
    """
    root = copy.deepcopy(checked(version.definition, f"the definition of version {version.version}"))
    for tag in ("name", "uuid", "metadata", "title", "description"):
        for found in root.findall(tag):
            root.remove(found)
    if root.get("type") == "kvm" and not kvm:
        _emulate(root)
    disks = root.findall("devices/disk")
    if len(disks) != len(paths):
        raise ImageBuildError(
            f"the definition of version {version.version} has {counted(len(disks), 'disk')}, "
            f"and the version {counted(len(paths), 'image')}"
        )
    for disk, path in zip(disks, paths, strict=True):
        _use(disk, path, template=template)
    return root


def machine_type(version: Published) -> tuple[str, str]:
    """The type of the domain (kvm, qemu, xen) and the architecture."""
    root = checked(version.definition, f"the definition of version {version.version}")
    kind = root.find("os/type")
    return root.get("type", ""), "x86_64" if kind is None else kind.get("arch", "x86_64")


def _use(disk: ET.Element, path: str, *, template: bool) -> None:
    """Put an image into the place of a disk."""
    for found in disk.findall("source"):
        disk.remove(found)
    driver, target = disk.find("driver"), disk.find("target")
    if driver is None or target is None:
        raise ImageBuildError("a disk of the definition has no driver or no target")
    driver.set("type", "qcow2")
    disk.insert(1, ET.Element("source", file=path))
    if template and target.get("bus") in ("virtio", "scsi"):  # libvirt refuses it on IDE and SATA
        ET.SubElement(disk, "readonly")


def _emulate(root: ET.Element) -> None:
    """Replace what needs KVM, with the CPU model under which QEMU 7.2's emulation is stable (see
    imagebuild.host.accelerator).
    """
    root.set("type", "qemu")
    found, kind = root.find("cpu"), root.find("os/type")
    plain = kind is None or kind.get("arch", "x86_64") == "x86_64"
    cpu = ET.Element("cpu", mode="custom", match="exact") if plain else ET.Element("cpu", mode="maximum")
    if plain:
        ET.SubElement(cpu, "model").text = "qemu64"
        ET.SubElement(cpu, "feature", policy="disable", name="cx16")
    if found is not None:
        cpu.extend(kept for tag in ("topology", "numa") if (kept := found.find(tag)) is not None)
        root.remove(found)
    root.append(cpu)


def pointer(state: TemplateState, paths: Sequence[str], *, uuid: str, kvm: bool) -> str:
    """The pointer domain of a template: the machine of its current version, with the record in its
    metadata. It keeps its ``uuid``; a new one has none, and libvirt gives it one.
    """
    version = state.version(state.current)
    assert version is not None  # the record says so
    root = machine(version, paths, kvm=kvm, template=True)
    first = version.files[0]
    said = {"name": state.template, "version": state.current, "sha256": first.sha256}
    metadata = ET.Element("metadata")
    record = ET.SubElement(metadata, f"{{{NAMESPACE}}}template", said)
    record.text = encoded(state)
    heading = [ET.Element("name"), ET.Element("uuid"), ET.Element("title"), ET.Element("description"), metadata]
    heading[0].text = state.template
    heading[1].text = uuid
    heading[2].text = f"{state.template} {state.current} (template)"
    heading[3].text = (
        f"Template {state.template}, version {state.current}, published by imagebuild. Do not start it:"
        f" `imagebuild instantiate {state.template} NAME` makes a machine of it."
    )
    if not uuid:
        del heading[1]
    for at, element in enumerate(heading):
        root.insert(at, element)
    ET.register_namespace("imagebuild", NAMESPACE)
    return ET.tostring(root, encoding="unicode")


def record_in(element: str) -> str | None:
    """The record in the metadata element of a pointer domain; None if it has none.

    libvirt returns the element without its namespace (seen with 9.0).
    """
    root = safe_xml.any_root(element, "the metadata of a domain", "template record")
    return root.text if root.tag in ("template", f"{{{NAMESPACE}}}template") else None


def named_in(element: str) -> str:
    """The template's name in the metadata element of a pointer domain; empty if it has none."""
    return safe_xml.any_root(element, "the metadata of a domain", "template record").get("name", "")
