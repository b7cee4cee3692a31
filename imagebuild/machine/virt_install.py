"""The virt-install command of an unattended installation, as a pure function.

Everything that QEMU could guess is set explicitly: formats (a guest-controlled disk is never
probed), serial numbers of disks (the installer finds disks by them), no display, and what ends the
domain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from imagebuild.host.accelerator import EMULATED_KERNEL_ARGUMENTS
from imagebuild.machine import choices, virt_install_options
from imagebuild.machine.choices import VirtType
from imagebuild.recipe.model.cpu import Cpu
from imagebuild.recipe.model.machine import Vm

LOG_PORT = "org.fedoraproject.anaconda.log.0"
"""The virtio-serial port that Anaconda sends its logs to by default; kickstrap does the same."""


@dataclass(frozen=True)
class TargetDisk:
    """A raw disk to install to, and its bus as named in the recipe."""

    path: Path
    bus: str = "virtio"


@dataclass(frozen=True)
class SourceDisk:
    """A read-only raw disk for the installer, which finds it by its serial number."""

    path: Path
    serial: str
    cdrom: bool = False


@dataclass(frozen=True)
class InstallMachine:
    """The VM in which an installation runs: its hardware, and its files on the host.

    ``virt_type`` is the one actually used, whatever ``hardware`` requests. ``targets`` come first
    and in order, so that on the same bus they are vda, vdb and so on; their serial numbers are
    target, target2, …. ``firmware`` boots the *installer*; ``nvram`` is the file for its UEFI
    variables. ``cpu`` is the model if the recipe names none. ``description`` identifies the
    domain's owner.
    """

    name: str
    connect: str
    virt_type: VirtType
    hardware: Vm
    tree: Path
    kickstart: Path
    targets: tuple[TargetDisk, ...]
    console_log: Path
    installer_log: Path
    arch: str = "x86_64"
    firmware: Literal["bios", "uefi"] = "bios"
    nvram: Path | None = None
    cpu: Cpu | None = None
    kernel_args: tuple[str, ...] = ()
    sources: tuple[SourceDisk, ...] = field(default=())
    osinfo: str | None = None
    description: str = ""


def command(machine: InstallMachine) -> list[str]:
    """The argv that starts the installation and returns immediately; the domain is transient."""
    hardware, kind, arch = machine.hardware, machine.virt_type, machine.arch
    buses = [choices.bus(target.bus, kind) for target in machine.targets]
    source_bus = choices.bus("virtio", kind)
    argv = [
        "virt-install",
        "--connect", machine.connect,
        "--name", machine.name,
        *(["--metadata",
            virt_install_options.join([("description", machine.description)])] if machine.description else []),
        "--transient",
        "--virt-type", kind,
        "--arch", arch,
        "--machine", choices.chipset(kind, arch, buses),
        *virt_install_options.resources(hardware, _cpu(machine)),
        "--osinfo", f"name={machine.osinfo},require=off" if machine.osinfo else "detect=on,require=off",
        "--location", str(machine.tree),
        "--initrd-inject", str(machine.kickstart),
        "--extra-args", " ".join(_kernel_command_line(machine)),
        *virt_install_options.boot(machine.firmware, kind, machine.nvram),
    ]  # fmt: skip
    for serial, target, bus in zip(serials(len(buses)), machine.targets, buses, strict=True):
        argv += virt_install_options.disk(target.path, "raw", bus, hardware.disk, [("serial", serial)])
    for source in machine.sources:
        argv += ["--disk", _source(source, machine, source_bus)]
    argv += [
        *virt_install_options.controllers(buses, hardware.disk, kind),
        *virt_install_options.networks(hardware.networks, kind),
        *virt_install_options.display(hardware.graphics, arch, kind),
        "--serial", virt_install_options.join([("path", virt_install_options.file(machine.console_log))], "file"),
        *_log_channel(machine),
        *virt_install_options.other_devices(hardware, arch, kind),
        *([] if hardware.graphics.type != "none" else ["--controller", "type=usb,model=none"]),
        "--events", "on_poweroff=destroy,on_reboot=destroy,on_crash=destroy",
        "--noautoconsole",
    ]  # fmt: skip
    return ["virt-install", "--hvm", *argv[1:]] if kind == "xen" else argv


def serials(count: int) -> tuple[str, ...]:
    """The serial numbers of the target disks: target, target2, target3."""
    return ("target", *(f"target{number}" for number in range(2, count + 1)))[:count]


def _kernel_command_line(machine: InstallMachine) -> list[str]:
    serial = "ttyAMA0" if machine.arch == "aarch64" else "ttyS0"
    ours = [f"inst.ks=file:/{machine.kickstart.name}", f"console={serial},115200"]
    emulated = EMULATED_KERNEL_ARGUMENTS if (machine.virt_type, machine.arch) == ("qemu", "x86_64") else ()
    return [*ours, *emulated, *machine.kernel_args]


def _cpu(machine: InstallMachine) -> Cpu | None:
    """The recipe's CPU, or the installer's. Emulation cannot follow the host's CPU."""
    wanted = machine.hardware.cpu or machine.cpu
    if wanted is not None and machine.virt_type == "qemu" and machine.hardware.cpu != Cpu(model="maximum"):
        return choices.emulated(wanted, machine.arch)
    return None if machine.virt_type == "xen" and machine.hardware.cpu is None else wanted


def _log_channel(machine: InstallMachine) -> Sequence[str]:
    if machine.virt_type == "xen":
        return ()  # it has no virtio
    pairs = [
        ("path", virt_install_options.file(machine.installer_log)),
        ("target.type", "virtio"),
        ("target.name", LOG_PORT),
    ]
    return "--channel", virt_install_options.join(pairs, "file")


def _source(disk: SourceDisk, machine: InstallMachine, bus: str) -> str:
    pairs: list[tuple[str, object]] = [
        ("path", virt_install_options.file(disk.path)),
        ("format", "raw"),
        ("device", "cdrom") if disk.cdrom else ("bus", bus),  # virt-install chooses the bus of a CD-ROM drive
        ("readonly", "on"),
    ]
    pairs.append(("serial", disk.serial))
    if not machine.connect.endswith("/session"):
        # The file is shared between builds: libvirt must not change its owner to QEMU's user and back. A session
        # daemon runs QEMU as its own user and does not change owners: it refuses the label.
        pairs += [("source.seclabel0.model", "dac"), ("source.seclabel0.relabel", "no")]
    return virt_install_options.join(pairs)
