"""The domain definition of a throwaway clone, made from the definition that lies beside an image.
Pure.

The definition is a file from outside: only what is listed here is taken over from it, so that it
cannot name a device, a file or a program of this host. What this host does not need to have for a
verification (KVM, networks, reserved huge pages, pinned processors) is replaced, and reported.
"""

from __future__ import annotations

import copy
import itertools
import re
import string
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from imagebuild.errors import UsageError
from imagebuild.host import safe_xml
from imagebuild.host.accelerator import SLOW_EMULATED, Accelerator
from imagebuild.image import nocloud

AGENT = "org.qemu.guest_agent.0"
LONGEST = 1 << 20
"""The most bytes of a definition that are read."""
_COPIED = ("memory", "currentMemory", "vcpu", "features", "clock")
"""Elements of the domain that describe only what the guest sees."""
_DEVICES = ("controller", "input", "video", "memballoon")
_LEFT_OUT = ("address", "alias", "source", "seclabel", "driver", "acceleration", "backend")
"""Elements that libvirt assigns, or that are about the host: its files, programs and devices."""
_INPUTS = ("tablet", "mouse", "keyboard")
"""Others pass a device of the host through."""
_BUSES = ("virtio", "scsi", "sata", "ide", "usb")
_UNITS = {"b": 1, "bytes": 1, "KiB": 1 << 10, "k": 1 << 10, "MiB": 1 << 20, "M": 1 << 20, "GiB": 1 << 30, "G": 1 << 30}
"""libvirt's units of memory that it writes or that people use."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}")


@dataclass(frozen=True)
class Overlay:
    """A disk of a clone: its own file, and the image below it, which is only read."""

    path: Path
    image: Path
    format: str


@dataclass(frozen=True)
class CloneXml:
    """A clone's definition; ``replaced`` says what differs from the image's, one sentence each.

    ``cards`` is the number of network cards, ``serial`` and ``agent`` whether there is a serial
    console and a channel for the guest agent, ``display`` whether there is a display.
    """

    text: str
    replaced: tuple[str, ...]
    cards: int
    serial: bool
    agent: bool
    display: bool


def parsed(text: str, where: str) -> ET.Element:
    """The root element of a definition for KVM or QEMU. Raises UsageError, which names ``where``."""
    root = safe_xml.parsed(text, where)
    if root.get("type") not in ("kvm", "qemu"):
        raise UsageError(f"{where} describes a machine of type {root.get('type')!r}; only kvm and qemu can be verified")
    return root


def clone(
    wanted: ET.Element,
    *,
    name: str,
    description: str,
    disks: Sequence[Overlay],
    accelerator: Accelerator,
    console_log: Path,
    nvram: Path,
    shell: bool = False,
    own_daemon: bool = True,
    old_cpu: bool = True,
    tpm: bool = True,
    memory: int | None = None,
    seed: Path | None = None,
) -> CloneXml:
    """The definition of a transient clone of ``wanted`` with ``disks`` in the places of its disks.

    ``nvram`` is the file for the variables of UEFI firmware, which libvirt makes. ``tpm`` is whether
    this host can emulate one. ``memory`` is the most that a clone may have, in bytes. ``shell`` adds
    a second serial port, ``seed`` a CD-ROM with this image for cloud-init. ``own_daemon`` is False for a
    system daemon, which must not change the owner of an image. Under emulation, ``old_cpu`` gives the
    plain CPU model with which kernels do not crash under QEMU 7.2 (see imagebuild.host.accelerator);
    guests that need a newer one get all that QEMU emulates.
    """
    replaced: list[str] = []
    domain = ET.Element("domain", type="kvm" if accelerator == "kvm" else "qemu")
    if accelerator == "tcg" and wanted.get("type") == "kvm":
        replaced.append("emulated, because KVM does not work on this host")
    ET.SubElement(domain, "name").text = name
    ET.SubElement(domain, "description").text = description
    _resources(domain, wanted, accelerator, replaced)
    domain.append(_os(wanted, nvram))
    if (cpu := _cpu(wanted, accelerator, old_cpu=old_cpu)) is not None:
        domain.append(cpu)
    if memory is not None:
        _limit_memory(domain, memory, replaced)
    for event, action in (("poweroff", "destroy"), ("reboot", "restart"), ("crash", "destroy")):
        ET.SubElement(domain, f"on_{event}").text = action
    devices = ET.SubElement(domain, "devices")
    _disks(devices, wanted, disks, own_daemon=own_daemon)
    if seed is not None:
        nocloud.attach(domain, str(seed))
    cards = list(_cards(devices, wanted, replaced))
    serial = shell or wanted.find("devices/serial") is not None
    if serial:
        _serial(devices, 0, console_log)
    if shell:
        _serial(devices, 1, None)
    agent = _agent(devices, wanted)
    for tag in _DEVICES:
        for device in wanted.findall(f"devices/{tag}"):
            if tag != "input" or device.get("type") in _INPUTS:
                devices.append(_plain(device))
    display = _display(devices, wanted)
    _others(devices, wanted, replaced, tpm=tpm)
    ET.indent(domain)
    text = ET.tostring(domain, encoding="unicode")
    return CloneXml(text, tuple(dict.fromkeys(replaced)), len(cards), serial, agent, display)


def _resources(domain: ET.Element, wanted: ET.Element, accelerator: Accelerator, replaced: list[str]) -> None:
    """Memory, CPUs, features and clock of the machine, as far as they do not depend on this host."""
    for tag in _COPIED:
        if (found := wanted.find(tag)) is not None:
            domain.append(_plain(found))
    if (vcpu := domain.find("vcpu")) is not None:
        vcpu.attrib.pop("placement", "")  # auto needs numad
        replaced += ["CPUs not pinned"] if vcpu.attrib.pop("cpuset", "") else []
    if accelerator == "tcg" and _without_kvm(domain):
        replaced.append("without what KVM and Hyper-V offer to guests")
    if wanted.find("memoryBacking/hugepages") is not None:
        replaced.append("without the host's reserved huge pages")


def _agent(devices: ET.Element, wanted: ET.Element) -> bool:
    """The guest agent's channel, if the machine has it."""
    if not any(found.get("name") == AGENT for found in wanted.findall("devices/channel/target")):
        return False
    channel = ET.SubElement(devices, "channel", type="unix")
    ET.SubElement(channel, "target", type="virtio", name=AGENT)
    return True


def with_serial(wanted: ET.Element) -> ET.Element:
    """A copy of a definition that has a serial console."""
    made = copy.deepcopy(wanted)
    devices = made.find("devices")
    if devices is not None and devices.find("serial") is None:
        _serial(devices, 0, None)
    return made


def _plain(element: ET.Element) -> ET.Element:
    """A copy without what libvirt assigns, and without anything that names a file or a namespace."""
    copied = ET.Element(element.tag, {key: value for key, value in element.attrib.items() if "/" not in key + value})
    copied.text = element.text.strip() if element.text and "/" not in element.text else None
    copied.extend(_plain(child) for child in element if child.tag not in _LEFT_OUT and "/" not in child.tag)
    return copied


def _limit_memory(domain: ET.Element, limit: int, replaced: list[str]) -> None:
    """Give a clone no more memory than this host has for it. Its NUMA cells, which divide all of it,
    are left out then.
    """
    for tag in ("memory", "currentMemory"):
        found = domain.find(tag)
        if found is None or not (found.text or "").strip().isdecimal():
            continue
        size = int((found.text or "").strip()) * _UNITS.get(found.get("unit", "KiB"), 1 << 10)
        if size > limit:
            if tag == "memory":
                had, has = f"{size >> 20} MiB", f"{limit >> 20} MiB"
                replaced.append(f"with {has} of memory instead of {had}, which this host does not have free")
                if (cpu := domain.find("cpu")) is not None and (numa := cpu.find("numa")) is not None:
                    cpu.remove(numa)
            found.set("unit", "KiB")
            found.text = str(limit >> 10)


def _os(wanted: ET.Element, nvram: Path) -> ET.Element:
    """The firmware and the machine type; no path, so that libvirt chooses the firmware's files."""
    found = wanted.find("os")
    system = ET.Element("os")
    if found is None:
        ET.SubElement(system, "type").text = "hvm"
        return system
    loader = found.find("loader")
    # Definitions of running machines name the firmware's files instead.
    efi = found.get("firmware") == "efi" or (loader is not None and loader.get("type") == "pflash")
    if efi:
        system.set("firmware", "efi")
    kind = found.find("type")
    given = {} if kind is None else {key: kind.get(key, "") for key in ("arch", "machine") if kind.get(key)}
    machine = {key: value for key, value in given.items() if _NAME.fullmatch(value)}
    ET.SubElement(system, "type", machine).text = "hvm"
    if efi and (firmware := found.find("firmware")) is not None:
        system.append(_plain(firmware))
    if efi and loader is not None and loader.get("secure") == "yes":
        ET.SubElement(system, "loader", secure="yes")
    if efi:
        ET.SubElement(system, "nvram").text = str(nvram)
    ET.SubElement(system, "boot", dev="hd")
    if not efi and wanted.find("devices/serial") is not None:
        ET.SubElement(system, "bios", useserial="yes")  # so that a failure of the firmware can be read
    return system


def _without_kvm(domain: ET.Element) -> bool:
    """Remove what only KVM has; whether there was anything."""
    parents = [(domain.find("features"), ("hyperv", "kvm")), (domain.find("clock"), ("timer",))]
    gone = [
        (parent, child)
        for parent, tags in parents
        for child in (() if parent is None else parent)
        if child.tag in tags and (child.tag != "timer" or child.get("name") in ("kvmclock", "hypervclock"))
    ]
    for parent, child in gone:
        if parent is not None:
            parent.remove(child)
    return bool(gone)


def _cpu(wanted: ET.Element, accelerator: Accelerator, *, old_cpu: bool) -> ET.Element | None:
    found = wanted.find("cpu")
    cpu = None if found is None else _plain(found)
    if accelerator == "kvm":
        return cpu
    kind = wanted.find("os/type")
    x86 = kind is None or kind.get("arch", "x86_64") == "x86_64"
    plain = old_cpu and x86
    emulated = ET.Element("cpu", mode="custom", match="exact") if plain else ET.Element("cpu", mode="maximum")
    if plain:
        ET.SubElement(emulated, "model").text = "qemu64"
        ET.SubElement(emulated, "feature", policy="disable", name="cx16")
    elif x86:
        ET.SubElement(emulated, "feature", policy="disable", name=SLOW_EMULATED)
    for tag in ("topology", "numa"):
        if cpu is not None and (kept := cpu.find(tag)) is not None:
            emulated.append(kept)
    return emulated


def _disks(devices: ET.Element, wanted: ET.Element, disks: Sequence[Overlay], *, own_daemon: bool) -> None:
    places = wanted.findall("devices/disk/target")
    taken: set[str] = set()
    for number, disk in enumerate(disks):
        place = places[number] if number < len(places) else None
        bus = "virtio" if place is None else place.get("bus", "virtio")
        device = "" if place is None else place.get("dev", "")
        if place is None or bus not in _BUSES or device in taken or not _NAME.fullmatch(device):
            bus = bus if bus in _BUSES else "virtio"
            device = next(name for name in _device_names(bus) if name not in taken)
        taken.add(device)
        element = ET.SubElement(devices, "disk", type="file", device="disk")
        ET.SubElement(element, "driver", name="qemu", type="qcow2", cache="unsafe", discard="unmap")
        ET.SubElement(element, "source", file=str(disk.path))
        below = ET.SubElement(element, "backingStore", type="file")
        ET.SubElement(below, "format", type=disk.format)
        source = ET.SubElement(below, "source", file=str(disk.image))
        if not own_daemon:
            ET.SubElement(source, "seclabel", model="dac", relabel="no")
        ET.SubElement(below, "backingStore")
        ET.SubElement(element, "target", dev=device, bus=bus)


def _device_names(bus: str) -> Iterator[str]:
    """Names of disks on a bus, without end."""
    prefix = {"virtio": "vd", "ide": "hd"}.get(bus, "sd")
    for length in itertools.count(1):
        for letters in itertools.product(string.ascii_lowercase, repeat=length):
            yield prefix + "".join(letters)


def _cards(devices: ET.Element, wanted: ET.Element, replaced: list[str]) -> Iterator[ET.Element]:
    """The network cards, with QEMU's user network instead of the host's: the same model, another
    hardware address.
    """
    for found in wanted.findall("devices/interface"):
        card = ET.SubElement(devices, "interface", type="user")
        model = found.find("model")
        ET.SubElement(card, "model", type=_plain(model).get("type", "virtio") if model is not None else "virtio")
        kind = found.get("type", "")
        if kind != "user":
            replaced.append(f"QEMU's user network instead of the host's (type {kind})")
        yield card


def _serial(devices: ET.Element, port: int, log: Path | None) -> None:
    serial = ET.SubElement(devices, "serial", type="pty")
    if log is not None:
        ET.SubElement(serial, "log", file=str(log), append="off")
    ET.SubElement(serial, "target", port=str(port))


def _display(devices: ET.Element, wanted: ET.Element) -> bool:
    """A display that nobody else can reach, if the machine has one."""
    if wanted.find("devices/graphics") is None:
        return False
    graphics = ET.SubElement(devices, "graphics", type="vnc")
    ET.SubElement(graphics, "listen", type="none")
    return True


def _others(devices: ET.Element, wanted: ET.Element, replaced: list[str], *, tpm: bool) -> None:
    if (found := wanted.find("devices/tpm")) is not None and not tpm:
        replaced.append("without TPM, because swtpm is not installed on this host")
    elif found is not None:
        made = ET.SubElement(devices, "tpm", model=_plain(found).get("model", "tpm-crb"))
        ET.SubElement(made, "backend", type="emulator", version="2.0")
    if wanted.find("devices/rng") is not None:
        rng = ET.SubElement(devices, "rng", model="virtio")
        ET.SubElement(rng, "backend", model="random").text = "/dev/urandom"
