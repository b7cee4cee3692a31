"""The network on kernel command lines: its settings, and the parts of them that belong to one
machine.

Arguments according to dracut.cmdline(7), pxelinux (``BOOTIF``) and cloud-init's documentation of
NoCloud (``ds=``).
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from imagebuild.customise.linux import kernel_cmdline
from imagebuild.customise.network import addresses

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imagebuild.customise.guest import Guest

_PLACES = (
    "/etc/default/grub",
    "/etc/default/grub.d/*.cfg",
    "/etc/kernel/cmdline",
    "/etc/kernel/cmdline.d/*.conf",
    "/boot/loader/entries/*.conf",
    "/efi/loader/entries/*.conf",
    "/boot/efi/loader/entries/*.conf",
    "/boot/grub2/grubenv",
    "/boot/grub/grubenv",
    "/boot/grub2/grub.cfg",
    "/boot/grub/grub.cfg",
    "/boot/grub/grub.conf",
    "/boot/grub/menu.lst",
    "/boot/efi/EFI/*/grub.cfg",
    "/boot/efi/EFI/*/grubenv",
    "/boot/extlinux/extlinux.conf",
    "/boot/extlinux.conf",
    "/boot/syslinux/syslinux.cfg",
)
_LARGEST = 4 << 20
_OF_A_CARD = re.compile(r"(?<![\w.-])((?:ip|ifname|BOOTIF|bootdev)=[^\s\"']+)")
_NAMES_OF_UDEV = (
    "systemd/network/99-default.link",
    "udev/rules.d/80-net-setup-link.rules",
    "udev/rules.d/80-net-name-slot.rules",
)
"""What assigns names to cards by their location: a link or rules of systemd, or, before version
209, rules of udev."""


@dataclass(frozen=True)
class KernelLines:
    """The contents of the files that have kernel command lines, by path, without comments."""

    texts: Mapping[str, str]

    def values(self, name: str) -> list[str]:
        """All values of an argument, in all files."""
        pattern = re.compile(rf"(?<![\w.-]){re.escape(name)}=([^\s\"']*)")
        return [value for text in self.texts.values() for value in pattern.findall(text)]


def read(guest: Guest) -> KernelLines:
    """Read the files. Unusually large files are skipped."""
    paths = [path for path in guest.real_files(*_PLACES) if guest.size(guest.real_file(path) or path) <= _LARGEST]
    return KernelLines(
        {path: re.sub(r"^\s*#.*$", "", guest.read(path, _LARGEST), flags=re.MULTILINE) for path in paths}
    )


def keeps_kernel_names(guest: Guest, lines: KernelLines) -> bool:
    """Whether cards are called eth0 and so on: the guest has nothing that renames them, or renaming
    is disabled."""
    if not any(guest.exists(f"{folder}/{name}") for folder in ("/usr/lib", "/lib") for name in _NAMES_OF_UDEV):
        return True
    masks = [f"/etc/{name}" for name in _NAMES_OF_UDEV]
    if any(guest.is_symlink(path) and guest.readlink(path) == "/dev/null" for path in masks):
        return True
    return "0" in lines.values("net.ifnames")


def remove_identity(guest: Guest, lines: KernelLines) -> None:
    """Remove arguments that match cards by their addresses, and a NoCloud seed that existed only
    during the build."""
    for name in ("ifname", "BOOTIF"):
        if lines.values(name):
            kernel_cmdline.remove_argument(guest, name)
    if any(is_seed_of_a_build(value) for value in lines.values("ds")):
        kernel_cmdline.remove_argument(guest, "ds")
    for path in lines.texts:
        for argument in _OF_A_CARD.findall(guest.read(path, _LARGEST)):
            if addresses.contains_address(argument):
                guest.not_done(path, f"contains a hardware address on a kernel command line: {argument}")


def is_seed_of_a_build(value: str) -> bool:
    """True for ``nocloud-net;s=http://192.0.2.1:8532/``: the address and port of an image builder.

    A clone would be configured by whoever has that address. A name, a link-local address and a
    folder may be intended.
    """
    parts = dict(part.partition("=")[::2] for part in value.replace("\\", "").split(";")[1:])
    url = parts.get("s") or parts.get("seedfrom") or ""
    if not value.lower().startswith("nocloud"):
        return False
    try:
        split = urlsplit(url)
        address = ipaddress.ip_address(split.hostname or "")
        return split.port is not None and not address.is_link_local
    except ValueError:
        return False
