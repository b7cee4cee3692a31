"""The disks of clones: overlays of an image, which is only read."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import zstandard

from imagebuild.contents.encoding import InventoryError, unpacked
from imagebuild.contents.inventory import Inventory
from imagebuild.customise import process, registry
from imagebuild.customise.operation import OperationCall
from imagebuild.errors import HostError, UsageError
from imagebuild.host import hypervisor
from imagebuild.host.accelerator import Accelerator
from imagebuild.image import qemu_img
from imagebuild.progress import Progress
from imagebuild.verify.clone_xml import Overlay
from imagebuild.verify.subject import Subject, SubjectDisk
from imagebuild.verify.transport import UNIT, UNIT_TEXT
from imagebuild.verify.verification import ROOM

_BLOCK = 1 << 20


def check_room(folder: Path) -> None:
    """Raise HostError if the overlays may not fit into ``folder``."""
    free = shutil.disk_usage(folder).free
    if free < ROOM:
        raise HostError(
            f"{folder} has {free >> 20} MiB free; booting clones may need {ROOM >> 20} MiB",
            "free some space, or use another file system with --store",
        )


def readable(disks: Sequence[SubjectDisk], work: Path, uid: int) -> tuple[SubjectDisk, ...]:
    """The images where QEMU's user can read them: as they are, or copies in ``work``.

    A raw.zst is unpacked there, since QEMU reads no zstd streams. Raises UsageError if it is
    damaged or larger than its disk.
    """
    return tuple(_readable(disk, work / f"image-{number}", uid) for number, disk in enumerate(disks))


def _readable(disk: SubjectDisk, copy: Path, uid: int) -> SubjectDisk:
    if disk.format == "raw.zst":
        _unpack(disk, copy)
        os.chown(copy, uid, -1)
        return SubjectDisk(copy, "raw", disk.size)
    status = disk.path.stat()
    mine = uid in (0, os.geteuid()) or (status.st_uid == uid and status.st_mode & 0o400) or status.st_mode & 0o004
    if mine:
        try:
            hypervisor.check_reachable(disk.path, uid)
        except HostError:
            pass
        else:
            return SubjectDisk(disk.path.resolve(), disk.format)
    qemu_img.copy_file(disk.path, copy)
    copy.chmod(0o400)
    os.chown(copy, uid, -1)
    return SubjectDisk(copy, disk.format)


def _unpack(disk: SubjectDisk, target: Path) -> None:
    qemu_img.create_raw(target, disk.size)
    at, zeros = 0, bytes(_BLOCK)
    try:
        with disk.path.open("rb") as packed, target.open("r+b") as raw:
            reader = zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True)
            while block := reader.read(_BLOCK):
                if at + len(block) > disk.size:
                    raise UsageError(f"{disk.path} is larger than its disk in the manifest", "build it again")
                if block != zeros[: len(block)]:
                    raw.seek(at)
                    raw.write(block)
                at += len(block)
    except zstandard.ZstdError as error:
        raise UsageError(f"{disk.path} is damaged: {error}", "build it again") from error
    if at < disk.size:
        raise UsageError(f"{disk.path} is damaged: it ends after {at} of {disk.size} bytes", "build it again")


def overlays(subject: Subject, disks: Sequence[SubjectDisk], work: Path, clone: str) -> list[Overlay]:
    """New overlays for one clone. The system disk is larger than the image if the subject says so."""
    made = []
    for number, disk in enumerate(disks):
        path = work / f"{clone}-disk{number}.qcow2"
        size = None
        if number == 0 and subject.grows:
            size = int(qemu_img.virtual_size(disk.path, disk.format)) + subject.grows  # type: ignore[arg-type]
        qemu_img.create_overlay(disk.path, disk.format, path, size)
        made.append(Overlay(path, disk.path, disk.format))
    return made


def with_operations(
    overlays: Sequence[Overlay],
    operations: Sequence[OperationCall],
    *,
    accelerator: Accelerator,
    work: Path,
    progress: Progress,
) -> Inventory | None:
    """Apply operations to new overlays of a clone, never to its image. Returns what is on them."""

    def apply() -> Inventory | None:
        for one in overlays:
            size = qemu_img.virtual_size(one.path, "qcow2")
            one.path.unlink()
            qemu_img.create_overlay(one.image, one.format, one.path, size)
        listed = work / "inventory"
        listed.unlink(missing_ok=True)
        process.run(
            overlays[0].path,
            "qcow2",
            operations,
            accel=accelerator,
            workdir=work,
            more=[one.path for one in overlays[1:]],
            network=False,
            progress=progress,
            inventories=[listed],
        )
        try:
            return unpacked(listed.read_bytes())
        except (FileNotFoundError, InventoryError):
            return None

    return process.again_if_stuck(apply, progress.update)


def shell_operations() -> list[OperationCall]:
    """The operations that give a clone a root shell on its second serial port."""
    unit = f"/etc/systemd/system/{UNIT}"
    wanted = f"/etc/systemd/system/multi-user.target.wants/{UNIT}"
    return [
        registry.call("write-file", {"path": unit, "text": UNIT_TEXT}),
        registry.call("create-link", {"path": wanted, "target": unit}),
    ]
