"""The VM that installs a recipe: the recipe's wishes, and its files in one folder. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from imagebuild.machine.choices import VirtType
from imagebuild.machine.virt_install import InstallMachine, SourceDisk, TargetDisk
from imagebuild.recipe.cpu import Cpu
from imagebuild.recipe.model import Recipe


def disk_names(recipe: Recipe) -> tuple[str, ...]:
    """The files that are installed to, the system disk's first: ``disk.raw``, ``disk2.raw``."""
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
    kernel_args: Sequence[str],
    sources: Sequence[SourceDisk],
    description: str = "",
) -> InstallMachine:
    """The VM: disks, kickstart (``ks.cfg``) and UEFI variables in ``folder``, the console's and the installer's logs in ``logs``.

    kickstrap installs systems for UEFI from a BIOS machine: its kernel has no entry for UEFI. Anaconda asks the firmware
    what it installs for. Its kernel is started directly, and signed with a key that only the distribution's shim knows:
    so Secure Boot is for the installed system, not for the installer.
    """
    anaconda = recipe.installer.type == "anaconda"
    uefi = anaconda and recipe.machine.firmware != "bios"
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
        firmware="uefi" if uefi else "bios",
        nvram=folder / "nvram.fd" if uefi and virt_type != "xen" else None,  # Xen keeps none
        # RHEL 9 and 10 need a newer CPU than QEMU's default, x86-64-v2 and -v3.
        cpu=Cpu(model="maximum") if anaconda else None,
        kernel_args=tuple(kernel_args),
        sources=tuple(sources),
        osinfo=recipe.os.osinfo,
        description=description,
    )
