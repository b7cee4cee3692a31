"""RAID arrays with mdadm."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from . import volumes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .command import CommandRunner
    from .disks import Array
    from .identity import DiskIdentity
    from .target import Target

CONFIGURATION = "/etc/mdadm/mdadm.conf"
"""Debian's path; the initramfs contains a copy."""
_MODULES = dict.fromkeys((4, 5, 6), "raid456")


def create_command(array: Array, members: Sequence[str], uuid: str) -> list[str]:
    """The command that creates an array. New members are equal, and the parity of zeros is zero, so no
    initial resync is needed, which would fill the image.
    """
    # firmware reads an EFI system partition as if there were no RAID, so the metadata must be at the end
    where = (
        ["--metadata=1.0"] if array.kind == "esp" else ["--metadata=1.2", f"--data-offset={volumes.RAID_OFFSET * 1024}"]
    )
    spares = [f"--spare-devices={array.spares}"] if array.spares else []
    chunk = [] if array.level == 1 else [f"--chunk={array.chunk or volumes.CHUNK}"]
    agreed = ["--assume-clean"] if array.level else []
    return [
        "mdadm", "--create", node(array), "--run", "--quiet", "--auto=yes", *where, f"--level={array.level}",
        f"--raid-devices={len(members) - array.spares}", *spares, *chunk, "--homehost=any", f"--name={array.device}",
        f"--uuid={uuid}", *agreed, *members,
    ]  # fmt: skip


def node(array: Array) -> str:
    return f"/dev/md/{array.device}"


def make(commands: CommandRunner, arrays: Sequence[Array], devices: dict[str, str], identity: DiskIdentity) -> None:
    """Create the arrays on ``devices`` (name to device); they are added to it."""
    for array in arrays:
        commands.run(["modprobe", "-q", _MODULES.get(array.level, f"raid{array.level}")], check=False)
        commands.run(
            create_command(array, [devices[name] for name in array.members], identity.uuid("array", array.name))
        )
        devices[array.name] = node(array)


def describe(commands: CommandRunner, arrays: Sequence[Array]) -> str:
    """The text of mdadm.conf: arrays are listed by UUID, so that names are the same everywhere."""
    lines = ["# HOMEHOST: the arrays are this system's, whatever it is called", "HOMEHOST <ignore>", "MAILADDR root"]
    for array in arrays:
        exported = commands.run(["mdadm", "--detail", "--export", node(array)]).output.splitlines()
        values = dict(line.split("=", 1) for line in exported if "=" in line)
        lines.append(f"ARRAY {node(array)} metadata={values['MD_METADATA']} UUID={values['MD_UUID']}")
    return "\n".join(lines) + "\n"


def tell_initramfs(target: Target) -> None:
    """Add mdadm.conf to the existing initramfs: the root may be on an array.

    The kernel unpacks concatenated archives, so it is appended. Rebuilding the initramfs takes more
    than a minute under emulation; the next kernel update does it.
    """
    images = sorted(target.path("/boot").glob("initrd.img-*"))
    if not images:
        return
    folders = [str(folder)[1:] for folder in reversed(PurePosixPath(CONFIGURATION).parents[:-1])]
    names = "".join(f"{name}\n" for name in [*folders, CONFIGURATION[1:]])
    archive = "/boot/.mdadm.cpio"
    target.commands.run(["cpio", "--quiet", "--create", "--format=newc", f"--file={archive}"], input=names)
    for image in images:
        with image.open("ab") as file:
            file.write(b"\0" * (-file.tell() % 4) + target.path(archive).read_bytes())
    target.path(archive).unlink()


def release(commands: CommandRunner, arrays: Sequence[Array]) -> None:
    """Stop the arrays, which marks them clean; else the guest would check them at first boot."""
    for array in arrays:
        commands.run(["mdadm", "--stop", node(array)])
