"""The virt-install command of an unattended installation, as a pure function.

Everything QEMU could guess is said: formats (a guest-controlled disk is never probed), serial
numbers of the disks (the installer finds them by these), no display, what ends the domain.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from imagebuild.accel import EMULATED_KERNEL_ARGUMENTS

LOG_PORT = "org.fedoraproject.anaconda.log.0"
"""The virtio-serial port that Anaconda sends its logs to of its own accord; kickstrap does the same."""


@dataclass(frozen=True)
class SourceDisk:
    """A read-only raw disk that the installer reads from, found in the VM by its serial number."""

    path: Path
    serial: str


@dataclass(frozen=True)
class InstallMachine:
    """The VM in which an installation runs. Memory in MiB, paths on the host."""

    name: str
    connect: str
    virt_type: Literal["kvm", "qemu"]
    memory: int
    vcpus: int
    tree: Path
    kickstart: Path
    target: Path
    console_log: Path
    installer_log: Path
    bus: str = "virtio"
    cache: str = "unsafe"
    network: str = "user"
    arch: str = "x86_64"
    kernel_args: tuple[str, ...] = ()
    sources: tuple[SourceDisk, ...] = field(default=())
    osinfo: str | None = None


def command(machine: InstallMachine) -> list[str]:
    """The argv that starts the installation and comes back at once; the domain is transient."""
    osinfo = f"name={machine.osinfo},require=off" if machine.osinfo else "detect=on,require=off"
    argv = [
        "virt-install",
        "--connect", machine.connect,
        "--name", machine.name,
        "--transient",
        "--virt-type", machine.virt_type,
        "--arch", machine.arch,
        "--memory", str(machine.memory),
        "--vcpus", str(machine.vcpus),
        "--osinfo", osinfo,
        "--location", str(machine.tree),
        "--initrd-inject", str(machine.kickstart),
        "--extra-args", " ".join(_kernel_command_line(machine)),
        "--disk", _target(machine),
    ]  # fmt: skip
    for source in machine.sources:
        argv += ["--disk", _source(source, machine)]
    argv += [
        "--network", f"{machine.network},model=virtio",
        "--graphics", "none",
        "--video", "none",
        "--serial", f"file,path={_value(machine.console_log)}",
        "--channel", f"file,path={_value(machine.installer_log)},target.type=virtio,target.name={LOG_PORT}",
        "--rng", "/dev/urandom",
        "--controller", "type=usb,model=none",
        "--memballoon", "none",
        "--events", "on_poweroff=destroy,on_reboot=destroy,on_crash=destroy",
        "--noautoconsole",
    ]  # fmt: skip
    return argv


def repeat_script(machine: InstallMachine) -> str:
    """A shell script that runs the installation again by hand, with the kickstart beside it; prints the console."""
    here = Path("@HERE@")
    argv = command(
        replace(
            machine,
            name=f"{machine.name}-again",
            kickstart=here / machine.kickstart.name,
            target=here / "disk.raw",
            console_log=here / "console-again.log",
            installer_log=here / "installer-again.log",
        )
    )
    line = shlex.join(argv).replace("@HERE@", '"$here"')
    size = machine.target.stat().st_size if machine.target.exists() else 0
    return (
        "#!/bin/sh -eu\n"
        "# Runs the failed installation again; QEMU must be able to reach this folder. Secrets were taken out of ks.cfg.\n"
        'here=$(cd "$(dirname "$0")" && pwd)\n'
        f'truncate -s {size} "$here/disk.raw"\n'
        f"{line}\n"
        'tail -f "$here/console-again.log"\n'
    )


def _kernel_command_line(machine: InstallMachine) -> list[str]:
    ours = [f"inst.ks=file:/{machine.kickstart.name}", "console=ttyS0,115200"]
    emulated = EMULATED_KERNEL_ARGUMENTS if machine.virt_type == "qemu" else ()
    return [*ours, *emulated, *machine.kernel_args]


def _target(machine: InstallMachine) -> str:
    options = {
        "path": _value(machine.target),
        "format": "raw",
        "bus": machine.bus,
        "cache": machine.cache,
        "discard": "unmap",
        "serial": "target",
    }
    return ",".join(f"{key}={value}" for key, value in options.items())


def _source(disk: SourceDisk, machine: InstallMachine) -> str:
    options = f"path={_value(disk.path)},format=raw,bus=virtio,readonly=on,serial={disk.serial}"
    if machine.connect.endswith("/session"):
        return options  # a user's own daemon runs QEMU as that user and knows no owners: it refuses the label
    # The file is shared between builds: libvirt must not give it to QEMU's user and back.
    return f"{options},source.seclabel0.model=dac,source.seclabel0.relabel=no"


def _value(path: Path) -> str:
    """A path as one value of a comma-separated option, which virt-install splits as a shell would."""
    return shlex.quote(str(path))
