"""The devices of a domain definition. Pure."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from typing import TYPE_CHECKING

from imagebuild.machine import choices
from imagebuild.machine.choices import VirtType
from imagebuild.recipe.model.devices import Graphics, NetworkCard
from imagebuild.recipe.model.machine import Hardware

if TYPE_CHECKING:
    from imagebuild.machine.domain_xml import DomainDisk


def add_devices(
    domain: ET.Element, machine: Hardware, disks: Sequence[DomainDisk], image_format: str, kind: VirtType, arch: str
) -> None:
    """Append ``<devices>`` for ``machine`` with ``disks`` in files of ``image_format``."""
    devices = ET.SubElement(domain, "devices")
    for disk in disks:
        _disk(devices, disk, machine, image_format)
    if any(disk.bus == "scsi" for disk in disks) and kind != "xen":
        controller = ET.SubElement(devices, "controller", type="scsi", model="virtio-scsi")
        if machine.disk.iothread:
            ET.SubElement(controller, "driver", iothread=choices.IOTHREAD)
    for card in machine.networks:
        if card.type != "none":
            _card(devices, card, kind)
    if machine.serial:
        serial = ET.SubElement(devices, "serial", type="pty")
        ET.SubElement(serial, "target", port="0")
        console = ET.SubElement(devices, "console", type="pty")
        ET.SubElement(console, "target", type="serial", port="0")
    if machine.guest_agent:
        _channel(devices, "unix", choices.AGENT_PORT)
    if machine.graphics.type == "spice" and kind != "xen":
        _channel(devices, "spicevmc", choices.SPICE_PORT)
    _display(devices, machine.graphics, arch)
    if machine.tpm:
        tpm = ET.SubElement(devices, "tpm", model=choices.tpm_model(arch))
        ET.SubElement(tpm, "backend", type="emulator", version="2.0")
    if machine.rng:
        rng = ET.SubElement(devices, "rng", model="virtio")
        ET.SubElement(rng, "backend", model="random").text = choices.RANDOM_SOURCE
    ET.SubElement(devices, "memballoon", model=choices.balloon_model(machine, kind))


def _disk(devices: ET.Element, disk: DomainDisk, machine: Hardware, image_format: str) -> None:
    options = machine.disk
    element = ET.SubElement(devices, "disk", type="file", device="disk")
    driver = ET.SubElement(element, "driver", name="qemu", type=image_format)
    for key, value in (("cache", options.cache), ("io", options.io), ("discard", options.discard)):
        if value is not None:
            driver.set(key, value)
    if options.iothread and disk.bus == "virtio":
        driver.set("iothread", choices.IOTHREAD)
    ET.SubElement(element, "source", file=str(disk.path))
    ET.SubElement(element, "target", dev=disk.device, bus=disk.bus)


def _card(devices: ET.Element, card: NetworkCard, kind: VirtType) -> None:
    sources = {"nat": ("network", "default"), "network": ("network", card.network), "bridge": ("bridge", card.bridge)}
    element = ET.SubElement(devices, "interface", type="user")
    if card.mac is not None:
        ET.SubElement(element, "mac", address=card.mac)
    if card.type in sources:
        key, name = sources[card.type]
        element.set("type", key)
        ET.SubElement(element, "source", {key: str(name)})
    ET.SubElement(element, "model", type=choices.card_model(card.model, kind))


def _channel(devices: ET.Element, kind: str, name: str) -> None:
    channel = ET.SubElement(devices, "channel", type=kind)
    ET.SubElement(channel, "target", type="virtio", name=name)


def _display(devices: ET.Element, graphics: Graphics, arch: str) -> None:
    if graphics.type == "none":
        return
    ET.SubElement(devices, "input", type="tablet", bus="usb")
    if arch == "aarch64":  # without x86's PS/2
        ET.SubElement(devices, "input", type="keyboard", bus="usb")
    port = {"autoport": "yes"} if graphics.port is None else {"autoport": "no", "port": str(graphics.port)}
    element = ET.SubElement(devices, "graphics", {"type": graphics.type, **port, "listen": str(graphics.listen)})
    ET.SubElement(element, "listen", type="address", address=str(graphics.listen))
    video = ET.SubElement(devices, "video")
    ET.SubElement(video, "model", type=choices.video(arch))
