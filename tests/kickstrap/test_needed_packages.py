"""Packages that storage and firmware need in the guest are added to %packages, as Anaconda does."""

from __future__ import annotations

import pytest

from imagebuild.kickstrap.agent import kickstart, needed_packages, plan
from tests.kickstrap.kickstarts import GOOD, findings

DISK = "clearpart --all\nurl --url='http://mirror.example/debian trixie'\n"
PACKAGES = "%packages\nvim\n%end\n"
LVM = "part pv.1 --size=2000\nvolgroup system pv.1\nlogvol / --vgname=system --name=root --size=1000\n"


def added(storage: str, firmware: str = "bios", packages: str = PACKAGES) -> list[str]:
    return sorted(needed_packages.added(kickstart.parse(DISK + storage + packages), firmware))


@pytest.mark.parametrize(
    ("storage", "expected"),
    [
        ("part / --size=900\n", []),
        ("part / --size=900 --fstype=xfs\n", ["xfsprogs"]),
        ("part / --size=900 --fstype=btrfs\n", ["btrfs-progs"]),
        ("part / --size=900\npart /data --size=99 --fstype=vfat\n", ["dosfstools"]),
        ("part / --size=900 --encrypted --passphrase=x\n", ["cryptsetup-initramfs"]),
        ("part btrfs.1 --size=900\nbtrfs / --label=x btrfs.1\n", ["btrfs-progs"]),
        ("part raid.1 --size=900\npart raid.2 --size=900\nraid / --level=1 --device=md0 raid.1 raid.2\n", ["mdadm"]),
        (LVM, ["lvm2"]),
        (f"{LVM}logvol none --thinpool --vgname=system --name=p --size=9\n", ["lvm2", "thin-provisioning-tools"]),
        ("autopart\n", ["lvm2"]),
        ("autopart --type=plain --fstype=xfs\n", ["xfsprogs"]),
        ("autopart --type=btrfs\n", ["btrfs-progs"]),
        ("autopart --type=thinp\n", ["lvm2", "thin-provisioning-tools"]),
    ],
)
def test_what_the_storage_needs(storage: str, expected: list[str]) -> None:
    assert added(storage) == expected
    named = "".join(f"{name}\n" for name in expected)
    assert added(storage, packages=f"%packages\n{named}%end\n") == []
    assert added(storage, packages="") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("part / --size=900\n", ["e2fsprogs"]),
        ("autopart --type=plain\n", ["e2fsprogs"]),
        ("part / --size=900 --fstype=xfs\n", ["xfsprogs"]),
        ("part / --size=900 --fstype=xfs\npart /boot --size=9 --fstype=ext2\n", ["e2fsprogs", "xfsprogs"]),
        ("part swap --size=900\n", []),
    ],
)
def test_without_the_standard_system_ext4_needs_a_package(text: str, expected: list[str]) -> None:
    assert added(text, packages=PACKAGES.replace("%packages", "%packages --nocore")) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [("lang C.UTF-8\n", []), ("lang de_DE\n", ["locales"]), ("lang C --addsupport=cs_CZ.UTF-8\n", ["locales"])],
)
def test_what_the_language_needs(line: str, expected: list[str]) -> None:
    assert added(line) == expected


def test_a_language_whose_package_is_excluded() -> None:
    text = GOOD.replace("-nano", "-locales")
    assert [one[1] for one in findings(text) if "locales" in one[1]] == [
        "lang en_US.UTF-8 needs the package locales in the guest, which %packages excludes"
    ]


@pytest.mark.parametrize(
    ("storage", "packages", "firmware", "expected"),
    [
        ("reqpart\n", "vim", "bios", []),
        ("reqpart\n", "vim", "uefi", ["dosfstools", "grub-efi-amd64"]),
        ("part /boot/efi --fstype=efi --size=50\n", "vim", "bios", ["dosfstools", "grub-efi-amd64"]),
        # grub-efi-amd64 would replace it
        ("part /boot/efi --fstype=efi --size=50\n", "grub-pc", "bios", ["dosfstools", "grub-efi-amd64-bin"]),
        ("reqpart\n", "grub-efi-amd64-bin", "uefi", ["dosfstools"]),
        ("reqpart\nbootloader --location=none\n", "vim", "uefi", ["dosfstools"]),
        ("reqpart\n", "vim", "uefi-secure", ["dosfstools", "grub-efi-amd64", "grub-efi-amd64-signed", "shim-signed"]),
    ],
)
def test_what_the_firmware_needs(storage: str, packages: str, firmware: str, expected: list[str]) -> None:
    assert added(f"{storage}part / --size=900\n", firmware, f"%packages\n{packages}\n%end\n") == expected


def test_an_excluded_package_is_not_added() -> None:
    text = "part / --size=900 --fstype=xfs\n"
    assert added(text, packages="%packages\n-xfsprogs\n%end\n") == []
    assert findings(DISK + text + "%packages\n-xfsprogs\n%end\n") == []


def test_without_some_the_guest_would_not_start() -> None:
    (found,) = findings(DISK + LVM + "%packages\n-lvm2\n%end\n")
    assert found[:3] == (
        4,
        "volgroup needs the package lvm2 in the guest, which %packages excludes",
        "remove -lvm2 from %packages",
    )


def test_the_vm_adds_them_too() -> None:
    payload = plan.make(kickstart.read(GOOD)).payload
    assert isinstance(payload, plan.Packages)
    assert payload.packages == ("vim", "xfsprogs", "e2fsprogs", "locales")
