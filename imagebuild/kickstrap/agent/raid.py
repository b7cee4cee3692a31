"""RAID arrays by mdadm."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from . import layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .command import CommandRunner
    from .disks import Array
    from .target import Target

CONFIGURATION = "/etc/mdadm/mdadm.conf"
"""Debian's; the initramfs gets a copy."""


def create_command(array: Array, members: Sequence[str]) -> list[str]:
    """The members are new and empty, so they agree already: no first synchronisation, which would fill the image."""
    # firmware reads an EFI system partition as if there were no RAID: its metadata are at the end
    where = (
        ["--metadata=1.0"] if array.kind == "esp" else ["--metadata=1.2", f"--data-offset={layout.RAID_OFFSET * 1024}"]
    )
    agreed = ["--assume-clean"] if array.level == 1 else []
    return [
        "mdadm", "--create", node(array), "--run", "--quiet", "--auto=yes", *where, f"--level={array.level}",
        f"--raid-devices={len(members)}", "--homehost=any", f"--name={array.device}", *agreed, *members,
    ]  # fmt: skip


def node(array: Array) -> str:
    return f"/dev/md/{array.device}"


def make(commands: CommandRunner, arrays: Sequence[Array], devices: dict[str, str]) -> None:
    """Make the arrays on ``devices`` (name to device), which learns of them."""
    for array in arrays:
        commands.run(["modprobe", "-q", f"raid{array.level}"], check=False)
        commands.run(create_command(array, [devices[name] for name in array.members]))
        devices[array.name] = node(array)


def describe(commands: CommandRunner, arrays: Sequence[Array]) -> str:
    """The text of mdadm.conf: arrays by their UUIDs, so that they get their names on any machine."""
    lines = ["# HOMEHOST: the arrays are this system's, whatever it is called", "HOMEHOST <ignore>", "MAILADDR root"]
    for array in arrays:
        told = commands.run(["mdadm", "--detail", "--export", node(array)]).output.splitlines()
        values = dict(line.split("=", 1) for line in told if "=" in line)
        lines.append(f"ARRAY {node(array)} metadata={values['MD_METADATA']} UUID={values['MD_UUID']}")
    return "\n".join(lines) + "\n"


def tell_initramfs(target: Target) -> None:
    """Put mdadm.conf into the initramfs that is there already: the root may be on an array.

    The kernel unpacks one archive after the other, so it is appended. Making the initramfs anew takes a minute and more
    under emulation; the next update of the kernel does it.
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
    """Stop the arrays, which marks them clean; else the guest would begin with a check of them."""
    for array in arrays:
        commands.run(["mdadm", "--stop", node(array)])
