"""Machines for tests of the domain definition: together they have every key with every value (a
test checks that).
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import yaml

from imagebuild.machine import choices, virt_install_options
from imagebuild.machine.domain_xml import image_format, image_names, virt_type
from imagebuild.recipe.model.recipe import Recipe
from tests.recipe import recipes
from tests.virt_install_parser import connection

X86 = "name: small\nos: {family: debian, version: 13, codename: trixie, osinfo: debian12}\n"
ARM = """\
name: small
os: {family: redhat, distribution: rocky, version: 9, arch: aarch64}
installer: {source: {tree: "https://mirror.example/9/BaseOS/aarch64/os/"}, insecure: true}
"""

MACHINES = {
    "as it is": "",
    "ballooning": "machine: {memory: {current: 1GiB, maximum: 4GiB}, balloon: true}",
    "no balloon": "machine: {memory: 512MiB, balloon: false}",
    "hot-add": "machine: {vcpus: {current: 1, maximum: 8}}",
    "topology": "machine: {vcpus: {sockets: 2, cores: 2, threads: 2}}",
    "pinned": "machine: {vcpus: {maximum: 3, cpuset: '0-7,^3', pin: {0: 2, 2: '4-5,7'}}}",
    "NUMA": "machine: {memory: 4GiB, vcpus: 4, numa: [{cpus: '0,2', memory: 1GiB}, {cpus: '1,3', memory: 3GiB}]}",
    "NUMA of a topology": (
        "machine: {memory: 4GiB, vcpus: {cores: 2}, numa: [{cpus: 0-1, memory: 4GiB}], cpu: host-passthrough}"
    ),
    "huge pages": "machine: {huge_pages: true, memory_sharing: false}",
    "huge pages of a size": "machine: {huge_pages: 1GiB, memory_sharing: true}",
    "normal pages": "machine: {huge_pages: false}",
    "host's CPU": "machine: {cpu: host-passthrough}",
    "host's model": "machine: {cpu: {model: host-model, features: {vmx: require, hle: disable, rtm: disable}}}",
    "named model": (
        "machine: {virt_type: kvm, cpu: {model: EPYC-Rome, features: {a1: force, a2: optional, a3: forbid}}}"
    ),
    "emulated": "machine: {virt_type: qemu}",
    "emulated model": "machine: {virt_type: qemu, cpu: maximum}",
    "auto": "machine: {virt_type: auto}",
    "UEFI": "machine: {firmware: uefi}",
    "Secure Boot": "machine: {firmware: uefi-secure, tpm: true}",
    "BIOS": "machine: {firmware: bios, tpm: false}",
    "disks": (
        "machine: {disk: {cache: writethrough, io: threads}}\nextra_disks: [{size: 1GiB, bus: virtio}, "
        "{size: 1GiB, bus: sata}]"
    ),
    "disks past the cache": "machine: {disk: {cache: none, io: native, iothread: true}}\ndisk: {bus: virtio}",
    "disks at scsi": (
        "machine: {disk: {cache: directsync, iothread: true}}\ndisk: {bus: scsi}\nextra_disks: "
        "[{size: 1GiB, bus: scsi}]"
    ),
    "disks at sata": "machine: {disk: {cache: writeback, io: io_uring, iothread: false}}\ndisk: {bus: sata}",
    "disks at ide": (
        "machine: {disk: {cache: unsafe, discard: ignore}}\ndisk: {bus: ide}\nextra_disks: [{size: 1GiB, bus: ide}]"
    ),
    "trimming": "machine: {disk: {discard: unmap}}",
    "networks": """machine:
  networks:
    - nat
    - {type: user, model: e1000}
    - {type: nat, model: e1000e}
    - {type: network, network: lan, model: igb}
    - {type: bridge, bridge: br0, mac: "52:54:00:12:34:56", model: virtio}
    - {type: nat, model: rtl8139, mac: "52:54:00:12:34:57"}""",
    "no network": "machine: {networks: [{type: none}]}",
    "no network, short": "machine: {networks: []}",
    "VNC": "machine: {graphics: vnc}",
    "VNC at a port": "machine: {graphics: {type: vnc, listen: '::1', port: 5901}}",
    "SPICE": "machine: {graphics: {type: spice, listen: 0.0.0.0, port: auto}}",
    "SPICE at a port": "machine: {graphics: {type: spice, port: 5930}}",
    "no display": "machine: {graphics: {type: none}}",
    "bare": "machine: {serial: false, guest_agent: false, rng: false}",
    "all of it": "machine: {serial: true, guest_agent: true, rng: true}",
    "Xen": (
        "machine: {virt_type: xen, graphics: vnc, vcpus: {maximum: 4, current: 2, cpuset: 0-3}}\n"
        "extra_disks: [{size: 1GiB}]"
    ),
    "Xen with UEFI": "machine: {virt_type: xen, firmware: uefi}",
    "Xen with emulated disks": "machine: {virt_type: xen, cpu: host-passthrough}\ndisk: {bus: ide}",
}
ARM_MACHINES = {
    "ARM": "machine: {firmware: uefi, tpm: true, graphics: vnc}",
    "ARM emulated": "machine: {firmware: uefi, virt_type: qemu, huge_pages: 64KiB}",
}
ALL = {
    **{name: (X86, more) for name, more in MACHINES.items()},
    **{name: (ARM, more) for name, more in ARM_MACHINES.items()},
}


def recipe(more: str, base: str = X86) -> Recipe:
    """A recipe with this machine."""
    return recipes.recipe(f"{more}\n", base)


def written(more: str) -> Any:
    """The data of a machine, before validation."""
    return yaml.safe_load(more) or {}


def import_command(recipe: Recipe, folder: Path) -> list[str]:
    """The virt-install command that starts ``recipe``'s machine, with its images in ``folder``."""
    machine, kind, arch = recipe.machine, virt_type(recipe.machine), recipe.os.arch
    buses = [choices.bus(disk.bus, kind) for disk in recipe.disks]
    argv = ["virt-install", "--connect", connection(folder, "xen" if kind == "xen" else "qemu"), "--name", recipe.name]
    argv += ["--hvm", "--virt-type", kind, "--arch", arch, "--machine", choices.chipset(kind, arch, buses)]
    argv += virt_install_options.resources(machine, choices.cpu(machine, kind, arch))
    argv += ["--osinfo", "detect=off,require=off", "--import", *virt_install_options.boot(machine.firmware, kind, None)]
    for name, bus in zip(image_names(recipe, image_format(recipe)), buses, strict=True):
        (folder / name).touch()
        argv += virt_install_options.disk(folder / name, image_format(recipe), bus, machine.disk)
    argv += [
        *virt_install_options.controllers(buses, machine.disk, kind),
        *virt_install_options.networks(machine.networks, kind),
    ]
    argv += virt_install_options.display(machine.graphics, arch, kind)
    argv += ["--serial", "pty"] if machine.serial else ["--console", "none"]
    return [*argv, *virt_install_options.other_devices(machine, arch, kind)]


def facts(domain: ET.Element, macs: set[str]) -> dict[str, Any]:
    """The machine of a recipe as read from a domain's XML. Only MAC addresses in ``macs`` are
    included.
    """

    def attributes(path: str, *names: str) -> list[dict[str, str]]:
        return [{key: found.attrib[key] for key in names if key in found.attrib} for found in domain.findall(path)]

    def number(path: str) -> int:
        return int(domain.findtext(path) or 0)

    vcpu = domain.find("vcpu")
    assert vcpu is not None
    return {
        "type": domain.attrib["type"],
        "memory": (number("memory"), number("currentMemory") or number("memory")),
        "pages": [element.tag for element in domain.findall("memoryBacking/*")],
        "page sizes": attributes("memoryBacking/hugepages/page", "size", "unit"),
        "vcpus": (vcpu.text, vcpu.get("cpuset"), vcpu.get("current", vcpu.text)),
        "pins": attributes("cputune/vcpupin", "vcpu", "cpuset"),
        "iothreads": domain.findtext("iothreads"),
        "machine": [
            (domain.findtext("os/type"), *found.values()) for found in attributes("os/type", "arch", "machine")
        ],
        "firmware": domain.find("os").get("firmware"),  # type: ignore[union-attr]
        "firmware features": attributes("os/firmware/feature", "name", "enabled"),
        "loader": attributes("os/loader", "secure"),
        "boot": attributes("os/boot", "dev"),
        "smm": attributes("features/smm", "state"),
        "acpi": domain.find("features/acpi") is not None,
        "cpu": (attributes("cpu", "mode", "match"), domain.findtext("cpu/model")),
        "topology": attributes("cpu/topology", "sockets", "cores", "threads"),
        "cpu features": attributes("cpu/feature", "name", "policy"),
        "cells": attributes("cpu/numa/cell", "id", "cpus", "memory", "unit"),
        "disks": [_disk(disk) for disk in domain.findall("devices/disk")],
        "scsi": [
            (found.get("model"), [driver.attrib for driver in found.findall("driver")])
            for found in domain.findall("devices/controller[@type='scsi']")
        ],
        "cards": [_card(card, macs) for card in domain.findall("devices/interface")],
        "serial": attributes("devices/serial", "type"),
        "channels": sorted(
            (found.get("type"), found.find("target").get("type"), found.find("target").get("name"))  # type: ignore[union-attr]
            for found in domain.findall("devices/channel")
        ),
        "display": [_display(display) for display in domain.findall("devices/graphics")],
        "video": attributes("devices/video/model", "type"),
        "inputs": attributes("devices/input", "type", "bus"),
        "tpm": (attributes("devices/tpm", "model"), attributes("devices/tpm/backend", "type", "version")),
        "rng": (attributes("devices/rng", "model"), domain.findtext("devices/rng/backend")),
        "balloon": attributes("devices/memballoon", "model"),
    }


def _disk(disk: ET.Element) -> dict[str, str | None]:
    driver, source, target = disk.find("driver"), disk.find("source"), disk.find("target")
    assert driver is not None
    assert source is not None
    assert target is not None
    options = {key: driver.get(key) for key in ("cache", "io", "discard", "iothread")}
    return {"file": source.get("file"), "bus": target.get("bus"), "dev": target.get("dev"), **options}


def _card(card: ET.Element, macs: set[str]) -> tuple[Any, ...]:
    source, mac, model = card.find("source"), card.find("mac"), card.find("model")
    assert model is not None
    address = mac.get("address") if mac is not None and mac.get("address") in macs else None
    return card.get("type"), source.attrib if source is not None else {}, model.get("type"), address


def _display(display: ET.Element) -> tuple[Any, ...]:
    port = display.get("port")
    automatic = display.get("autoport") == "yes" or port in (None, "-1")
    return display.get("type"), display.get("listen"), None if automatic else port
