"""Writes the root file system of an installation into the target disk before the VM starts, if that is what
the VM would make: see ``agent.prepared``.

mke2fs leaves out some things that tar does not: they are added afterwards. It also makes folders without
an index, which e2fsck adds, as the kernel would have done.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from imagebuild.errors import CommandFailed, HostError
from imagebuild.kickstrap import archive_attributes
from imagebuild.kickstrap.agent import autopart, identity, layout, plan, prepared, readable
from imagebuild.kickstrap.agent.disks import ESP
from imagebuild.kickstrap.agent.errors import StorageError
from imagebuild.kickstrap.agent.identity import DiskIdentity
from imagebuild.kickstrap.agent.machine import TargetMachine
from imagebuild.kickstrap.agent.prepared import PreparedRoot
from imagebuild.kickstrap.e2fsprogs import E2fsprogs
from imagebuild.log import logger

_ROOT_INODE, _FIRST_INODE = 2, 11
"""Those between them are reserved (linux: fs/ext4/ext4.h)."""


class _CannotWrite(Exception):
    """The file system cannot be written here; the VM will make it."""


def write(
    handler: Any,
    disks: Sequence[Path],
    arguments: Sequence[str],
    *,
    programs: Path,
    archive: Path,
    machine: TargetMachine,
) -> tuple[str, ...]:
    """Write the root file system into one of the new ``disks``, if it can be prepared: it has what is in
    ``archive``. ``handler`` is the kickstart's, ``programs`` the folder of ``E2fsprogs``, and ``arguments``
    are those of the VM's kernel; returns further ones.

    Raises HostError if the host's disk is full. After any other failure the disk is as it was, and the VM
    unpacks the archive.
    """
    told = identity.given(" ".join(arguments))
    found = _wanted(handler, machine, told)
    if found is None:
        return ()
    content = archive_attributes.read(archive, ESP.lstrip("/"))
    if content.unusual or content.below:
        logger.info("the VM unpacks the root archive, which has %s", content.unusual or f"files in {ESP}")
        return ()
    tools = E2fsprogs(programs, told.epoch)
    if not tools.reads_archives():
        return ()
    disk = disks[found.placed.disk]
    try:
        version = tools.run(readable.asks("ext4"))
        _make(tools, disk, found, prepared.command(found, told, version, str(disk)), archive)
        _complete(tools, _place(disk, found), disk, found, content.attributes)
    except (CommandFailed, _CannotWrite) as error:
        if "No space left on device" in (error.output if isinstance(error, CommandFailed) else str(error)):
            raise HostError(
                f"no space left ({disk})", "free some space, or use another file system with --store"
            ) from error
        logger.warning("the VM unpacks the root archive: %s", error)
        _empty(disk)
        return ()
    return (f"kickstrap.prepared={prepared.digest(found, told, version)}",)


def _wanted(handler: Any, machine: TargetMachine, told: DiskIdentity) -> PreparedRoot | None:
    """What the VM will make for this kickstart, on new disks."""
    whole = plan.make(handler, machine.firmware)
    if whole.pre:  # it may change the disks, or write files that the kickstart includes
        return None
    try:
        storage = autopart.complete(whole.storage, machine)
        return prepared.root(whole, storage, layout.place(storage, machine), told)
    except StorageError:
        return None  # the VM says why


def _place(disk: Path, found: PreparedRoot) -> str:
    """The file system's place, for libext2fs's programs."""
    return f"{disk}?offset={found.start}"


def _make(tools: E2fsprogs, disk: Path, found: PreparedRoot, command: Sequence[str], archive: Path) -> None:
    """Make the file system with the ``command`` of the VM, at its place on ``disk``, from ``archive``."""
    argv = [*command]
    argv[argv.index("-E") + 1] += f",offset={found.start}"
    tools.run([*argv[:-1], "-d", archive, disk, f"{found.placed.size * 1024}k"])


def _complete(
    tools: E2fsprogs, place: str, disk: Path, found: PreparedRoot, attributes: Mapping[str, Mapping[str, bytes]]
) -> None:
    """Add what mke2fs leaves out: extended attributes, the times of the last change and of the last access (it
    writes 0), and indexes of folders. The last step also checks everything.
    """
    now = tools.epoch or str(int(time.time()))
    with TemporaryDirectory(prefix="imagebuild-") as scratch:
        lines = [
            _attribute(path, name, value, Path(scratch))
            for path, named in attributes.items()
            for name, value in named.items()
        ]
        for inode in (_ROOT_INODE, *range(_FIRST_INODE, _used_inodes(disk, found) + 1)):
            lines += [f"sif <{inode}> ctime @{now}", f"sif <{inode}> atime @{now}"]
        script = Path(scratch) / "script"
        script.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="surrogateescape")
        printed = Path(scratch) / "printed"
        tools.run(["debugfs", "-w", "-f", script, place], into=printed)
        # it repeats each command, and its exit status says nothing about them
        lines = printed.read_text(encoding="utf-8", errors="replace").splitlines()
        if wrong := [line for line in lines if line and not line.startswith("debugfs")]:
            raise _CannotWrite(f"debugfs: {wrong[0]}")
    tools.run(["e2fsck", "-f", "-p", "-D", place], statuses=(0, 1))


def _attribute(path: str, name: str, value: bytes, scratch: Path) -> str:
    """The command that sets an extended attribute, whose value is stored in ``scratch``."""
    if any(character in path + name for character in '"\n'):
        raise _CannotWrite(f"the name {path!r} cannot be given to debugfs")
    file = scratch / f"{len([*scratch.iterdir()])}"
    file.write_bytes(value)
    return f'ea_set -f "{file}" "{path}" {name}'


def _used_inodes(disk: Path, found: PreparedRoot) -> int:
    """How many inodes are in use: in a new file system these are the first ones."""
    with disk.open("rb") as file:
        file.seek(found.start + 1024)
        block = file.read(20)
    return int.from_bytes(block[0:4], "little") - int.from_bytes(block[16:20], "little")


def _empty(disk: Path) -> None:
    """Make ``disk`` one of zeros again."""
    size = disk.stat().st_size
    os.truncate(disk, 0)
    os.truncate(disk, size)
