"""GRUB for UEFI, at the removable path: firmware starts \\EFI\\BOOT\\BOOTX64.EFI without an EFI
variable.

With Secure Boot that is shim, signed by Microsoft, which starts GRUB, signed by Debian. Debian's
signed GRUB looks for its configuration in \\EFI\\debian of the partition that it was started from:
a few lines there point to /boot/grub.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from .disks import ESP
from .errors import InstallError

if TYPE_CHECKING:
    from .target import Target

_BOOT = f"{ESP}/EFI/BOOT"
_SIGNED = {
    "/usr/lib/shim/shimx64.efi.signed": ("BOOTX64.EFI", "shim-signed"),
    "/usr/lib/shim/mmx64.efi.signed": ("mmx64.efi", "shim-helpers-amd64-signed"),
    "/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed": ("grubx64.efi", "grub-efi-amd64-signed"),
}
"""Debian's signed programs: their names in the EFI system partition, and their packages."""
PACKAGES = ("grub-efi-amd64", "grub-efi-amd64-bin")
SECURE_PACKAGES = ("shim-signed", "grub-efi-amd64-signed")
_ANSWERS = """\
grub-efi-amd64 grub2/force_efi_extra_removable boolean true
grub-efi-amd64 grub2/update_nvram boolean false
"""


def install(target: Target, *, secure: bool) -> None:
    """Install GRUB to the mounted EFI system partition, with ``secure`` the signed programs."""
    if not target.has("/usr/sbin/grub-install") or not target.has("/usr/lib/grub/x86_64-efi"):
        raise InstallError("the target has no GRUB for UEFI: add grub-efi-amd64 to %packages")
    target.commands.run([
        "grub-install", "--target=x86_64-efi", f"--efi-directory={ESP}", "--removable", "--no-nvram",
        "--no-uefi-secure-boot", "--locales=",
    ])  # fmt: skip
    if secure:
        uuid = target.commands.run(["grub-probe", "--target=fs_uuid", "/boot/grub"]).output.split()[-1]
        folder = target.commands.run(["grub-mkrelpath", "/boot/grub"]).output.split()[-1]
        install_signed(target, uuid, folder)
    if target.has("/var/lib/dpkg/info/grub-efi-amd64.postinst") and target.has("/usr/bin/debconf-set-selections"):
        # an upgrade must also write the removable path, and no EFI variables of the machine that it runs on
        target.commands.run(["debconf-set-selections"], input=_ANSWERS)


def install_signed(target: Target, uuid: str, folder: str) -> None:
    """Install the signed programs, and a configuration for the signed GRUB that points to
    ``folder`` on that file system.
    """
    for source, (name, package) in _SIGNED.items():
        if not target.has(source):
            raise InstallError(f"secure boot needs {source} in the target: add {package} to %packages")
        shutil.copyfile(target.path(source), target.path(f"{_BOOT}/{name}"))
    leading = f"search.fs_uuid {uuid} root\nset prefix=($root)'{folder}'\nconfigfile $prefix/grub.cfg\n"
    target.write(f"{ESP}/EFI/debian/grub.cfg", leading)
