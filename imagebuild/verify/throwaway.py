"""A throwaway machine of an image: one clone for a user, or for one command."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from imagebuild.customise import registry
from imagebuild.errors import BootStalled, GuestError
from imagebuild.image import qemu_img
from imagebuild.progress import Progress
from imagebuild.verify import clone as running
from imagebuild.verify import clone_disks, clone_seed, clone_xml
from imagebuild.verify.clone import BootOptions, Clone
from imagebuild.verify.subject import Subject
from imagebuild.verify.verifying import Setting, definition, discard

_CLONE = "clone-1"


@dataclass(frozen=True)
class Access:
    """How a user gets into a throwaway machine: a public SSH key, and a password for the console."""

    public_key: str
    password: str


@contextmanager
def machine(
    subject: Subject,
    setting: Setting,
    progress: Progress,
    *,
    access: Access | None,
    booted: bool,
    seed: Mapping[str, bytes] | None = None,
) -> Iterator[Clone]:
    """A running clone of an image. With ``booted`` it can run commands; else it has just started.

    ``access`` is set up in the clone: through the guest agent if the image has one (only if
    ``booted``), else on its overlay. ``seed`` are the files of a seed for cloud-init, which a machine
    that is ``booted`` has applied. Raises BootFailed.
    """
    clone_disks.check_room(setting.work)
    stalled = False
    while True:
        try:
            with _started(subject, setting, progress, access, seed, booted=booted) as clone:
                if booted:
                    progress.update("booting")
                    clone.wait_until_usable()
                    if access is not None and subject.agent:
                        _let_in(clone, access)
                yield clone
                return
        except BootStalled:
            if stalled or setting.accelerator != "tcg":
                raise
            stalled = True
            progress.update("the emulated guest hangs; starting again")


@contextmanager
def _started(
    subject: Subject,
    setting: Setting,
    progress: Progress,
    access: Access | None,
    seed: Mapping[str, bytes] | None,
    *,
    booted: bool,
) -> Iterator[Clone]:
    discard(setting.work, [_CLONE])
    disks = clone_disks.readable(subject.disks, setting.work, setting.hypervisor.qemu_uid())
    overlays = clone_disks.overlays(subject, disks, setting.work, _CLONE)
    by_serial = booted and not subject.agent
    operations = clone_disks.shell_operations() if by_serial else []
    if access is not None and not (booted and subject.agent):
        operations.append(registry.call("add-ssh-keys", {"user": "root", "keys": [access.public_key]}))
    if operations:
        progress.update("preparing the overlay")
        inventory = clone_disks.with_operations(
            overlays, operations, accelerator=setting.accelerator, work=setting.work, progress=progress
        )
        subject = subject.informed(inventory)
    options = BootOptions(setting.accelerator, setting.boot_limit, shell=by_serial, wait=seed is not None)
    iso = None if seed is None else clone_seed.made(setting.work, _CLONE, seed, setting.hypervisor.qemu_uid())
    made = definition(subject, setting, _CLONE, overlays, serial=by_serial, seed=iso)
    log = setting.work / f"{_CLONE}.log"
    with running.started(setting.hypervisor, setting.name, made, options, log) as clone:
        yield clone


def _let_in(clone: Clone, access: Access) -> None:
    key, account = shlex.quote(access.public_key), shlex.quote(f"root:{access.password}")
    done = clone.run(
        "umask 077; mkdir -p /root/.ssh && "
        f"printf '%s\\n' {key} >> /root/.ssh/authorized_keys && "
        f"{{ printf '%s\\n' {account} | chpasswd || true; }}"
    )
    if done.status != 0:
        raise GuestError(f"the SSH key could not be added to the guest: {done.text.strip()}")


def keep(subject: Subject, setting: Setting, folder: Path) -> list[Path]:
    """Move the overlays of the ended clone to ``folder``; each names the subject's own image as its
    backing file. A raw.zst, which QEMU cannot read, comes along unpacked.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kept = []
    for number, disk in enumerate(subject.disks):
        target = folder / f"disk{number}.qcow2"
        shutil.move(setting.work / f"{_CLONE}-disk{number}.qcow2", target)
        below, fmt = disk.path, disk.format
        if fmt == "raw.zst":
            below, fmt = folder / f"disk{number}.raw", "raw"
            shutil.move(setting.work / f"image-{number}", below)
        qemu_img.rename_backing(target, below, fmt)
        for path in (target, below) if below.parent == folder else (target,):
            os.chown(path, os.geteuid(), os.getegid())  # it was QEMU's
            path.chmod(0o600)
        kept.append(target)
    return kept


def for_user(subject: Subject) -> Subject:
    """The subject with a serial console, which a user needs."""
    return replace(subject, machine=clone_xml.with_serial(subject.machine))
