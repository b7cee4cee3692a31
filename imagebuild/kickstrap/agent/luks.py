"""LUKS2 encryption with cryptsetup, and what the guest needs to unlock it when it boots.

Everything is unlocked in the initramfs: Debian 13 has systemd's program for it in a package of its own,
and only the initramfs is there in every guest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import InstallError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .command import CommandRunner
    from .disks import Encrypted
    from .identity import DiskIdentity
    from .target import Target

HEADER = 16
"""MiB before the data. Passed to cryptsetup: it is also its default for LUKS2."""
PACKAGE = "cryptsetup-initramfs"
_HOOK = "/usr/share/initramfs-tools/hooks/cryptroot"
_CRYPTTAB = "/etc/crypttab"
_WITHOUT_UDEV = {"DM_DISABLE_UDEV": "1"}
"""Without udev in the VM, libdevmapper creates the device nodes itself."""
# cryptsetup would measure the machine that it runs on and take up to half of its memory: here that is the
# install VM, often emulated, and a smaller guest could not unlock its disk. 64 MiB is what RFC 9106 (4)
# recommends where memory is scarce, with three passes; cryptsetup makes at least four.
_COSTS = (
    "--pbkdf=argon2id", "--pbkdf-force-iterations=4", "--pbkdf-memory=65536", "--pbkdf-parallel=1",
)  # fmt: skip


def format_command(device: str, uuid: str, cipher: str = "") -> list[str]:
    """The command that encrypts a device; the passphrase is its standard input.

    Sectors of 512 bytes, whatever the disk: a volume group refuses members with different ones.
    """
    named = [f"--cipher={cipher}"] if cipher else []
    return [
        "cryptsetup", "luksFormat", "--batch-mode", "--type=luks2", f"--uuid={uuid}", f"--offset={HEADER * 2048}",
        "--sector-size=512", *_COSTS, *named, "--key-file=-", device,
    ]  # fmt: skip


def open_command(device: str, name: str) -> list[str]:
    """The command that unlocks a device as /dev/mapper/``name``; the passphrase is its standard input.

    Discards are passed on: without them every block that was ever used would stay in the image.
    """
    return ["cryptsetup", "open", "--type=luks2", "--allow-discards", "--key-file=-", device, name]


def name_of(uuid: str) -> str:
    """The name of the unlocked device, as Anaconda's."""
    return f"luks-{uuid}"


def make(
    commands: CommandRunner, encrypted: Iterable[Encrypted], devices: dict[str, str], identity: DiskIdentity
) -> dict[str, str]:
    """Encrypt the items of ``encrypted`` on ``devices`` (name to device), and unlock them.

    Each of them is replaced in ``devices`` by the unlocked device. Returns the UUID of each by its name.
    """
    found = {}
    for one in encrypted:
        uuid, device = identity.uuid("encryption", one.on), devices[one.on]
        commands.run(["modprobe", "-q", "dm_crypt"], check=False)
        commands.run(format_command(device, uuid, one.cipher), input=one.passphrase, env=_WITHOUT_UDEV)
        commands.run(open_command(device, name_of(uuid)), input=one.passphrase, env=_WITHOUT_UDEV)
        devices[one.on] = f"/dev/mapper/{name_of(uuid)}"
        found[one.on] = uuid
    return found


def crypttab(uuids: Iterable[str]) -> str:
    """The text of /etc/crypttab: the guest asks for each passphrase in its initramfs."""
    lines = [f"{name_of(uuid)} UUID={uuid} none luks,discard,initramfs" for uuid in uuids]
    return "\n".join(["# <target name> <source device> <key file> <options>", *lines]) + "\n"


def describe(target: Target, uuids: Iterable[str]) -> None:
    """Configure the target's encrypted devices, and rebuild its initramfs, which must unlock them.

    Raises InstallError if the target lacks the package for it.
    """
    if not target.has(_HOOK):
        raise InstallError(f"encryption needs the package {PACKAGE} in the target: add it to %packages")
    target.write(_CRYPTTAB, crypttab(uuids))
    # a kernel without an initramfs gets one later
    if any(target.path("/boot").glob("initrd.img-*")):
        target.commands.run(["update-initramfs", "-u", "-k", "all"])


def release(commands: CommandRunner, uuids: Iterable[str]) -> None:
    """Lock the devices again."""
    for uuid in uuids:
        commands.run(["cryptsetup", "close", name_of(uuid)], env=_WITHOUT_UDEV)
