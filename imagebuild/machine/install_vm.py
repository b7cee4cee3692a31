"""The VM that installs a recipe: the recipe's settings, and the VM's files in one folder. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from imagebuild.machine.choices import VirtType
from imagebuild.machine.virt_install import InstallMachine, SourceDisk, TargetDisk
from imagebuild.recipe.model.cpu import Cpu
from imagebuild.recipe.model.recipe import Recipe


@dataclass(frozen=True)
class Boot:
    """How an installer's kernel is booted: the firmware, the CPU, and arguments in addition to
    inst.ks= and console=.
    """

    kernel_arguments: tuple[str, ...]
    firmware: Literal["bios", "uefi"] = "bios"
    cpu: Cpu | None = None


def disk_names(recipe: Recipe) -> tuple[str, ...]:
    """The files of the target disks, the system disk's first: ``disk.raw``, ``disk2.raw``."""
    return ("disk.raw", *(f"disk{number}.raw" for number in range(2, len(recipe.extra_disks) + 2)))


def disk_sizes(recipe: Recipe) -> tuple[int, ...]:
    """The sizes of these disks in bytes."""
    return tuple(disk.size for disk in recipe.disks)


def install_machine(
    recipe: Recipe,
    *,
    name: str,
    connect: str,
    virt_type: VirtType,
    tree: Path,
    folder: Path,
    logs: Path,
    boot: Boot,
    sources: Sequence[SourceDisk],
    description: str = "",
) -> InstallMachine:
    """The VM, with disks, kickstart (``ks.cfg``) and UEFI variables in ``folder``, and the logs in
    ``logs``.
    """
    return InstallMachine(
        name=name,
        connect=connect,
        virt_type=virt_type,
        hardware=recipe.vm,
        tree=tree,
        kickstart=folder / "ks.cfg",
        targets=tuple(
            TargetDisk(folder / file, disk.bus) for file, disk in zip(disk_names(recipe), recipe.disks, strict=True)
        ),
        console_log=logs / "console.log",
        installer_log=logs / "installer.log",
        arch=recipe.os.arch,
        firmware=boot.firmware,
        nvram=folder / "nvram.fd" if boot.firmware == "uefi" and virt_type != "xen" else None,  # Xen stores none
        cpu=boot.cpu,
        kernel_args=boot.kernel_arguments,
        sources=tuple(sources),
        osinfo=recipe.os.osinfo,
        description=description,
    )
