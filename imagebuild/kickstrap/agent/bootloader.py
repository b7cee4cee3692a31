"""Installs GRUB, for BIOS on the target's disks and for UEFI in its EFI system partition, as
Debian's own tools do.
"""

from __future__ import annotations

import re
import shlex
import shutil
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from . import efi, without_sync
from .errors import InstallError
from .target import set_variables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .firmware import BootLoaders
    from .plan import Bootloader
    from .target import Target

_SERIAL = re.compile(r"console=ttyS(\d+)(?:,(\d+)([noe]?)(\d?))?")
_PARITY = {"n": "no", "o": "odd", "e": "even"}


def settings(bootloader: Bootloader) -> dict[str, str]:
    """Variables for /etc/default/grub. A serial console in --append is also used by GRUB."""
    values = {"GRUB_CMDLINE_LINUX": shlex.quote(bootloader.append) if bootloader.append else '""'}
    if bootloader.timeout is not None:
        values["GRUB_TIMEOUT"] = str(bootloader.timeout)
    # There are no other systems on the disk, and searching for them takes long.
    values["GRUB_DISABLE_OS_PROBER"] = "true"
    if serial := _SERIAL.search(bootloader.append):
        unit, speed, parity, word = serial.groups()
        command = f"serial --unit={unit} --speed={speed or '9600'}"
        command += f" --parity={_PARITY[parity]}" if parity else ""
        command += f" --word={word}" if word else ""
        values["GRUB_TERMINAL"] = '"console serial"'
        values["GRUB_SERIAL_COMMAND"] = f'"{command}"'
    return values


def kernels(target: Target) -> list[str]:
    """The versions of the kernels in /boot."""
    boot = target.path("/boot")
    return sorted(path.name.removeprefix("vmlinuz-") for path in boot.glob("vmlinuz-*"))


def install(target: Target, bootloader: Bootloader, start: BootLoaders, disks: Sequence[str]) -> None:
    """Make sure that each kernel has an initramfs, and install GRUB to ``disks`` and for UEFI,
    according to ``start``.
    """
    versions = kernels(target)
    if not versions:
        raise InstallError("the target has no kernel: add linux-image-cloud-amd64 to %packages")
    for version in versions:
        if not target.has(f"/boot/initrd.img-{version}"):
            target.commands.run(["update-initramfs", "-c", "-k", version])
    if disks and not (target.has("/usr/sbin/grub-install") and target.has("/usr/lib/grub/i386-pc")):
        raise InstallError("the target has no GRUB for BIOS: add grub-pc to %packages")
    text = set_variables(target.read("/etc/default/grub"), settings(bootloader))
    target.write("/etc/default/grub", text)
    with _configured(target):
        _in_thread(lambda: _install(target, start, disks), unsynced=True)()
        if disks:
            remember_disks(target, disks)


def _install(target: Target, start: BootLoaders, disks: Sequence[str]) -> None:
    for disk in disks:
        target.commands.run(["grub-install", "--target=i386-pc", "--no-floppy", "--locales=", disk])
    if start.efi:
        efi.install(target, secure=start.secure)


def _in_thread(work: Callable[[], None], *, unsynced: bool = False) -> Callable[[], None]:
    """Start ``work`` in a thread. What this returns waits for it, and raises the InstallError that it
    raised. With ``unsynced``, its programs do not sync what they write.
    """
    failed: list[InstallError] = []

    def run() -> None:
        if unsynced:
            without_sync.install()
        try:
            work()
        except InstallError as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def wait() -> None:
        thread.join()
        if failed:
            raise failed[0]

    return wait


@contextmanager
def _configured(target: Target) -> Iterator[None]:
    """Write GRUB's configuration, which is made on another processor while the block runs.

    It is made in memory and stored after the block: two programs that write to the target at the same time
    would place their files differently each time.
    """
    name = "/run/grub.cfg"
    target.path("/boot/grub").mkdir(parents=True, exist_ok=True)

    def make() -> None:
        target.commands.run(["grub-mkconfig", "-o", name])

    wait = _in_thread(make)
    try:
        yield
    except BaseException:
        with suppress(InstallError):
            wait()
        raise
    wait()
    shutil.copy(target.path(name), target.path("/boot/grub/grub.cfg"))
    target.path(name).unlink()


def remember_disks(target: Target, disks: Sequence[str]) -> None:
    """Record for the package grub-pc where GRUB is installed, so that its next upgrade does not
    ask.
    """
    if target.has("/var/lib/dpkg/info/grub-pc.postinst") and target.has("/usr/bin/debconf-set-selections"):
        answer = f"grub-pc grub-pc/install_devices multiselect {', '.join(disks)}\n"
        target.commands.run(["debconf-set-selections"], input=answer)
