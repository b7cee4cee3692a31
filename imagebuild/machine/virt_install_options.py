"""Translates the machine's keys to options of virt-install (virt-install(1), version 4). Pure.

Commas separate the suboptions, and virt-install splits an option as a shell would: so every value
that is not a plain word is quoted, once, in ``join``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from imagebuild.errors import HostError
from imagebuild.machine import choices
from imagebuild.machine.choices import VirtType
from imagebuild.recipe.model.cpu import Cpu
from imagebuild.recipe.model.devices import Graphics, NetworkCard
from imagebuild.recipe.model.disks import DiskDriver
from imagebuild.recipe.model.machine import Hardware
from imagebuild.schema.fields import forbidden_character
from imagebuild.schema.section import MIB

Pairs = Sequence[tuple[str, object]]


def join(pairs: Pairs, first: str | None = None) -> str:
    """``first,key=value,…``: one argument for virt-install."""
    words = [] if first is None else [first]
    return ",".join([*words, *(f"{key}={_quoted(str(value))}" for key, value in pairs)])


def _quoted(text: str) -> str:
    if re.fullmatch(r"[\w@%+=:./-]+", text, re.ASCII):
        return text
    return "'" + text.replace("'", "'\"'\"'") + "'"


def file(path: Path) -> str:
    """A path on the host for an attribute of the domain's XML. Raises HostError if virt-install
    would change it.

    virt-install 4.1 escapes these characters in attributes twice (its xmlapi.py), so that libvirt
    gets a different path.
    """
    text = str(path)
    if bad := next((letter for letter in text if letter in "'\"&<>" or forbidden_character(letter)), None):
        raise HostError(
            f"virt-install cannot handle the path {text!r}: it would change the character {bad!r}",
            "choose another folder with --store",
        )
    return text


def resources(hardware: Hardware, cpu: Cpu | None) -> list[str]:
    """Memory and CPUs."""
    memory, vcpus = hardware.memory, hardware.vcpus
    argv = ["--memory", join([("memory", memory.maximum // MIB), ("currentMemory", memory.current // MIB)])]
    backing = list(_backing(hardware))
    if backing:
        argv += ["--memorybacking", join(backing)]
    count: list[tuple[str, object]] = [("vcpu", vcpus.maximum)]
    if vcpus.current != vcpus.maximum:
        count.append(("vcpu.current", vcpus.current))
    if vcpus.cpuset is not None:
        count.append(("vcpu.cpuset", vcpus.cpuset))
    argv += ["--vcpus", join(count)]
    if processor := list(_cpu(hardware, cpu)):
        argv += ["--cpu", join(processor)]
    if vcpus.pin:
        pins = sorted(vcpus.pin.items())
        pairs = [
            pair
            for at, (number, cpus) in enumerate(pins)
            for pair in ((f"vcpupin{at}.vcpu", number), (f"vcpupin{at}.cpuset", cpus))
        ]
        argv += ["--cputune", join(pairs)]
    if hardware.disk.iothread:
        argv += ["--iothreads", choices.IOTHREAD]
    return argv


def _backing(hardware: Hardware) -> Iterator[tuple[str, object]]:
    if hardware.huge_pages is not False:
        yield "hugepages", "on"
        if hardware.huge_pages is not True:
            yield "hugepages.page0.size", hardware.huge_pages // 1024
            yield "hugepages.page0.unit", "KiB"
    if not hardware.memory_sharing:
        yield "nosharepages", "on"


def _cpu(hardware: Hardware, cpu: Cpu | None) -> Iterator[tuple[str, object]]:
    if cpu is not None:
        yield "mode", cpu.mode
        if cpu.mode == "custom":
            yield "match", "exact"
            yield "model", cpu.model
            yield "secure", "off"  # otherwise virt-install adds features
    if hardware.vcpus.topology is not None:
        for part, number in zip(("sockets", "cores", "threads"), hardware.vcpus.topology, strict=True):
            yield f"topology.{part}", number
    for feature, policy in cpu.features.items() if cpu is not None else ():
        yield policy, feature
    for at, cell in enumerate(hardware.numa):
        yield f"numa.cell{at}.id", at
        yield f"numa.cell{at}.cpus", cell.cpus
        yield f"numa.cell{at}.memory", cell.memory // 1024
        yield f"numa.cell{at}.unit", "KiB"


def boot(firmware: str, kind: VirtType, nvram: Path | None) -> list[str]:
    """The firmware. ``nvram`` is the file for its variables; without it libvirt creates one and
    keeps it.
    """
    if firmware == "bios":
        return []
    pairs: list[tuple[str, object]] = [("firmware", "efi")]
    for at, (feature, enabled) in enumerate(choices.firmware_features(firmware, kind)):
        pairs += [
            (f"firmware.feature{at}.name", feature),
            (f"firmware.feature{at}.enabled", "yes" if enabled else "no"),
        ]
    if firmware == "uefi-secure":
        pairs.append(("loader.secure", "yes"))
    if nvram is not None:
        pairs.append(("nvram", file(nvram)))
    argv = ["--boot", join(pairs)]
    return [*argv, "--features", "smm.state=on"] if firmware == "uefi-secure" else argv


def disk(path: Path, image_format: str, bus: str, driver: DiskDriver, more: Pairs = ()) -> list[str]:
    """A disk of the guest; ``bus`` is libvirt's name."""
    pairs: list[tuple[str, object]] = [("path", file(path)), ("format", image_format), ("bus", bus)]
    for key, name in (("cache", "cache"), ("io", "driver.io"), ("discard", "discard")):
        if (value := getattr(driver, key)) is not None:
            pairs.append((name, value))
    if driver.iothread and bus == "virtio":
        pairs.append(("driver.iothread", choices.IOTHREAD))
    return ["--disk", join([*pairs, *more])]


def controllers(buses: Sequence[str], driver: DiskDriver, kind: VirtType) -> list[str]:
    """The controller for SCSI disks."""
    if "scsi" not in buses or kind == "xen":
        return []
    thread: Pairs = [("driver.iothread", choices.IOTHREAD)] if driver.iothread else []
    return ["--controller", join([("type", "scsi"), ("model", "virtio-scsi"), *thread])]


def networks(cards: Sequence[NetworkCard], kind: VirtType) -> list[str]:
    """The network cards, or ``none``."""
    argv = []
    for card in cards:
        if card.type == "none":
            continue
        source = {"nat": "default", "network": card.network, "bridge": card.bridge}.get(card.type)
        pairs: list[tuple[str, object]] = [("type", "network" if card.type == "nat" else card.type)]
        if source is not None:
            pairs.append(("source", source))
        pairs.append(("model", choices.card_model(card.model, kind)))
        if card.mac is not None:
            pairs.append(("mac", card.mac))
        argv += ["--network", join(pairs)]
    return argv or ["--network", "none"]


def display(graphics: Graphics, arch: str, kind: VirtType) -> list[str]:
    """The display and its input devices; without a display there is no adapter either."""
    if graphics.type == "none":
        return ["--graphics", "none", "--video", "none"]
    pairs: list[tuple[str, object]] = [("listen", graphics.listen)]
    if graphics.port is not None:
        pairs.append(("port", graphics.port))
    argv = ["--graphics", join(pairs, graphics.type), "--video", choices.video(arch), "--sound", "none"]
    argv += ["--input", "type=tablet,bus=usb"]
    if arch == "aarch64":  # without x86's PS/2
        argv += ["--input", "type=keyboard,bus=usb"]
    if graphics.type == "spice":
        argv += ["--redirdev", "none"]
        if kind != "xen":
            argv += ["--channel", join([("target.type", "virtio"), ("target.name", choices.SPICE_PORT)], "spicevmc")]
    return argv


def other_devices(hardware: Hardware, arch: str, kind: VirtType) -> list[str]:
    """Guest agent, random numbers, TPM, balloon."""
    argv = []
    if hardware.guest_agent:
        argv += ["--channel", join([("target.type", "virtio"), ("target.name", choices.AGENT_PORT)], "unix")]
    argv += ["--rng", choices.RANDOM_SOURCE if hardware.rng else "none"]
    if hardware.tpm:
        model = choices.tpm_model(arch)
        argv += ["--tpm", join([("backend.type", "emulator"), ("backend.version", "2.0"), ("model", model)])]
    else:
        argv += ["--tpm", "none"]
    return [*argv, "--memballoon", choices.balloon_model(hardware, kind)]
