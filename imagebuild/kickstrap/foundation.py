"""Packages that nearly all recipes have in common. Their root archive is the one of `debian-13` itself,
and what asks for more continues from it.

Which part of a list of packages that is depends on the list alone, never on what a store contains.
Continuing from any stored archive would not do: maintainer scripts see which packages are there, so
that the numbers of system users, for example, depend on the order of installation.
"""

from __future__ import annotations

from collections.abc import Iterable

PACKAGES = frozenset({
    # kickstart/debian.ks.j2
    "e2fsprogs", "grub-pc", "initramfs-tools", "kmod", "linux-image-cloud-amd64", "systemd-sysv", "udev", "zstd",
    "dhcpcd-base", "ifupdown", "iproute2", "iputils-ping", "netbase", "openssh-server",
    "adduser", "apt", "dbus", "libpam-systemd", "login", "logrotate", "passwd", "procps", "sudo", "systemd-timesyncd",
    "tzdata",
    # recipes/base/debian.yaml
    "bash-completion", "ca-certificates", "curl", "fdisk", "less", "lrzsz", "net-tools", "qemu-guest-agent", "screen",
    "tree", "vim", "wget",
})  # fmt: skip
"""Those of the shipped recipe debian-13; a test compares them."""
FURTHER = frozenset({
    # a guest that starts with UEFI, has other languages, or other storage
    "btrfs-progs", "cryptsetup-initramfs", "dosfstools", "grub-efi-amd64", "grub-efi-amd64-signed", "locales", "lvm2",
    "mdadm", "shim-signed", "thin-provisioning-tools", "xfsprogs",
})  # fmt: skip
"""They belong to the foundation of a recipe that names them: its kickstart cannot be installed without."""
_WORTHWHILE = 0.5


def part(packages: Iterable[str]) -> tuple[str, ...]:
    """The packages to install first, sorted; empty if that is not worthwhile, or if they are all there
    is.
    """
    asked = set(packages)
    first = asked & (PACKAGES | FURTHER)
    if first == asked or len(first & PACKAGES) < len(PACKAGES) * _WORTHWHILE:
        return ()
    return tuple(sorted(first))
