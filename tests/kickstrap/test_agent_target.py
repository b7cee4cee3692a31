"""The files that are written to the installed system, byte by byte, in a folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from imagebuild.kickstrap.agent import accounts, bootloader, efi, ifupdown, network, networkd, networkmanager, system
from imagebuild.kickstrap.agent.command import CommandRunner
from imagebuild.kickstrap.agent.disks import FileSystem
from imagebuild.kickstrap.agent.errors import InstallError
from imagebuild.kickstrap.agent.filesystems import Mounted
from imagebuild.kickstrap.agent.firmware import BootLoaders
from imagebuild.kickstrap.agent.interfaces import Interface
from imagebuild.kickstrap.agent.plan import (
    Bootloader,
    Keyboard,
    Password,
    PlannedUser,
)
from imagebuild.kickstrap.agent.services import ServiceChanges
from imagebuild.kickstrap.agent.target import Target, set_variables

GOLDEN = Path(__file__).parent / "golden"
STATIC = Interface("eth1", "192.0.2.5", "255.255.255.0", "192.0.2.1", ("192.0.2.1", "2001:db8::1"), onboot=False)


@pytest.fixture
def logged() -> list[str]:
    return []


@pytest.fixture
def target(tmp_path: Path, logged: list[str]) -> Target:
    return Target(tmp_path, CommandRunner(logged.append))


def test_fstab_is_by_uuid_parents_first() -> None:
    mounted = [
        Mounted(FileSystem("/var/lib", "xfs"), "/dev/vda3", "c-c"),
        Mounted(FileSystem("/"), "/dev/vda1", "a-a"),
        Mounted(FileSystem("/var", options="noatime,nodev"), "/dev/vda2", "b-b"),
    ]
    assert system.fstab(mounted).splitlines()[1:] == [
        "UUID=a-a / ext4 errors=remount-ro 0 1",
        "UUID=b-b /var ext4 noatime,nodev 0 2",
        "UUID=c-c /var/lib xfs defaults 0 0",
    ]


def test_fstab_of_swap_subvolumes_and_the_efi_system_partition() -> None:
    mounted = [
        Mounted(FileSystem("swap", "swap"), "/dev/vda3", "s-s"),
        Mounted(FileSystem("/home", "btrfs", options="noatime", subvolume="home"), "/dev/vda2", "b-b"),
        Mounted(FileSystem("/", "btrfs", subvolume="root"), "/dev/vda2", "b-b"),
        Mounted(FileSystem("/boot/efi", "vfat"), "/dev/vda1", "AB-CD"),
    ]
    assert system.fstab(mounted).splitlines()[1:] == [
        "UUID=b-b / btrfs defaults,subvol=root 0 0",
        "UUID=AB-CD /boot/efi vfat umask=0077 0 0",
        "UUID=b-b /home btrfs noatime,subvol=home 0 0",
        "UUID=s-s none swap sw 0 0",
    ]


def test_a_host_name_resolves(target: Target) -> None:
    target.write("/etc/hosts", "127.0.0.1 localhost\n127.0.1.1 old\n::1 localhost\n")
    system.set_hostname(target, "vm.example.org")
    assert target.read("/etc/hostname") == "vm.example.org\n"
    assert target.read("/etc/hosts") == "127.0.0.1 localhost\n127.0.1.1 vm.example.org vm\n::1 localhost\n"


def test_localhost_has_no_second_address(target: Target) -> None:
    system.set_hostname(target, "localhost")
    assert target.read("/etc/hosts") == "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"


def test_a_built_in_language_needs_nothing(target: Target, logged: list[str]) -> None:
    system.set_language(target, ["C.UTF-8"])
    assert target.read("/etc/default/locale") == "LANG=C.UTF-8\n"
    assert logged == []


def test_a_language_that_cannot_be_generated_is_an_error(target: Target) -> None:
    with pytest.raises(InstallError, match=r"lang de_DE.UTF-8 needs the package locales"):
        system.set_language(target, ["de_DE"])


@pytest.mark.parametrize(
    ("keyboard", "layout", "variant"),
    [
        (Keyboard(("us",)), "us", ""),
        (Keyboard(("de-nodeadkeys",), "de-nodeadkeys"), "de", "nodeadkeys"),
        (Keyboard(("us", "de (nodeadkeys)")), "us,de", ",nodeadkeys"),
    ],
)
def test_keyboard(target: Target, keyboard: Keyboard, layout: str, variant: str) -> None:
    system.set_keyboard(target, keyboard)
    lines = target.read("/etc/default/keyboard").splitlines()
    assert f'XKBLAYOUT="{layout}"' in lines
    assert f'XKBVARIANT="{variant}"' in lines
    assert target.read("/etc/vconsole.conf") == (
        f"KEYMAP={keyboard.console_keymap}\n" if keyboard.console_keymap else ""
    )


def test_a_keymap_where_one_file_has_both(target: Target) -> None:
    """As in Debian 13: a file in place of the link would not stay."""
    target.write("/etc/default/keyboard", 'XKBLAYOUT="us"\n')
    target.path("/etc/vconsole.conf").symlink_to("default/keyboard")
    system.set_keyboard(target, Keyboard(("de",), "de-latin1"))
    assert target.path("/etc/vconsole.conf").is_symlink()
    assert {'XKBLAYOUT="de"', "KEYMAP=de-latin1"} <= {*target.read("/etc/default/keyboard").splitlines()}


def test_timezone(target: Target) -> None:
    target.write("/usr/share/zoneinfo/Europe/Berlin", "")
    target.write("/etc/localtime", "old")
    system.set_timezone(target, "Europe/Berlin", utc=False)
    assert str(target.path("/etc/localtime").readlink()) == "/usr/share/zoneinfo/Europe/Berlin"
    assert target.read("/etc/timezone") == "Europe/Berlin\n"
    assert target.read("/etc/adjtime").endswith("LOCAL\n")
    system.set_timezone(target, "UTC", utc=True)
    assert str(target.path("/etc/localtime").readlink()) == "/usr/share/zoneinfo/UTC"


def test_an_unknown_timezone_is_an_error(target: Target) -> None:
    with pytest.raises(InstallError, match="the target has no timezone Mars/Base"):
        system.set_timezone(target, "Mars/Base", utc=True)


def test_selinux(target: Target, logged: list[str]) -> None:
    system.set_selinux(target, "disabled")
    assert logged == ["selinux --disabled: nothing to do, this system has no SELinux"]
    system.set_selinux(target, "enforcing")
    assert logged[1:] == ["selinux --enforcing: nothing to do, this system has no SELinux"]
    target.write("/etc/selinux/config", "# how\nSELINUX=permissive\nSELINUXTYPE=default\n")
    system.set_selinux(target, "disabled")
    assert target.read("/etc/selinux/config") == "# how\nSELINUX=disabled\nSELINUXTYPE=default\n"


def test_missing_services(target: Target, logged: list[str]) -> None:
    system.switch_services(target, ServiceChanges(disabled=("cups",)))
    assert logged == ["services --disabled=cups: nothing to do, there is no such service"]
    with pytest.raises(InstallError, match="services --enabled=cups: the target has no such service"):
        system.switch_services(target, ServiceChanges(enabled=("cups",)))


def test_a_service_that_has_been_renamed(target: Target) -> None:
    folder = "/usr/lib/systemd/system"
    assert system.current_name(target, "cloud-init") == "cloud-init"
    target.write(f"{folder}/cloud-init-network.service", "")
    assert system.current_name(target, "cloud-init") == "cloud-init-network"
    target.write(f"{folder}/cloud-init.service", "")
    assert system.current_name(target, "cloud-init") == "cloud-init"
    assert system.current_name(target, "ssh") == "ssh"


def test_variables_are_set_in_place() -> None:
    text = "# A=commented\nB=1\n#C=2\nexport B=3\n"
    assert set_variables(text, {"A": "x", "B": "y", "D": "z"}) == "A=x\n#C=2\nB=y\nD=z\n"
    assert set_variables("", {"A": "x"}) == "A=x\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("interfaces", ifupdown.interfaces_file([Interface("eth0"), STATIC])),
        ("dhcp.network", networkd.network(Interface("eth0"))),
        ("static.network", networkd.network(STATIC)),
        ("dhcp.nmconnection", networkmanager.keyfile(Interface("eth0"))),
        ("static.nmconnection", networkmanager.keyfile(STATIC)),
    ],
)
def test_network_files(name: str, text: str, golden: Callable[[Path, str], None]) -> None:
    golden(GOLDEN / name, text)
    assert "uuid" not in text.lower()


def test_the_network_is_configured_for_the_installed_tool(target: Target) -> None:
    with pytest.raises(InstallError, match="the target has no tool that configures the network"):
        network.configure(target, [STATIC])
    target.write("/usr/sbin/ifup", "")
    network.configure(target, [STATIC])
    assert "iface eth1 inet static" in target.read("/etc/network/interfaces")
    assert target.read("/etc/resolv.conf") == "nameserver 192.0.2.1\nnameserver 2001:db8::1\n"
    target.write("/usr/sbin/NetworkManager", "")
    network.configure(target, [STATIC])
    keyfile = target.path("/etc/NetworkManager/system-connections/eth1.nmconnection")
    assert stat.S_IMODE(keyfile.stat().st_mode) == 0o600


def test_dhcp_needs_a_client(target: Target) -> None:
    target.write("/usr/sbin/ifup", "")
    with pytest.raises(InstallError, match="needs a DHCP client: add dhcpcd-base"):
        network.configure(target, [Interface("eth0")])
    target.write("/usr/sbin/dhcpcd", "")
    network.configure(target, [Interface("eth0")])
    assert "iface eth0 inet dhcp" in target.read("/etc/network/interfaces")


def test_keys_are_private_to_their_owner(target: Target) -> None:
    target.write("/etc/passwd", f"root:x:0:0:root:/root:/bin/sh\nme:x:{os.getuid()}:{os.getgid()}::/home/me:/bin/sh\n")
    accounts.add_keys(target, "me", ["ssh-ed25519 AAAA one", "ssh-ed25519 BBBB two"])
    accounts.add_keys(target, "me", ["ssh-ed25519 AAAA one"])
    path = target.path("/home/me/.ssh/authorized_keys")
    assert path.read_text() == "ssh-ed25519 AAAA one\nssh-ed25519 BBBB two\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert (path.stat().st_uid, path.parent.stat().st_gid) == (os.getuid(), os.getgid())
    with pytest.raises(InstallError, match="the target has no account nobody-here"):
        accounts.add_keys(target, "nobody-here", ["x"])


def test_a_locked_account_is_left_alone(target: Target, logged: list[str]) -> None:
    target.write("/etc/shadow", "root:*:20000:0:99999:7:::\n")
    accounts.set_passwords(target, [("root", Password(lock=True))])
    assert logged == []
    assert accounts.is_locked("a:!x:1\n", "a")
    assert not accounts.is_locked("a:$6$x:1\nb:*:1\n", "a")
    assert not accounts.is_locked("a::1\n", "a")


def test_useradd() -> None:
    user = PlannedUser("ops", Password(), 1500, 100, ("sudo", "adm"), "/srv/ops", "/bin/sh", "The Ops")
    assert accounts.useradd_command(user) == [
        "useradd", "--create-home", "--shell", "/bin/sh", "--uid", "1500", "--gid", "100", "--groups", "sudo,adm",
        "--home-dir", "/srv/ops", "--comment", "The Ops", "ops",
    ]  # fmt: skip


def test_grub_defaults() -> None:
    values = bootloader.settings(Bootloader("quiet 'x' console=tty0 console=ttyS0,115200n8", 3))
    assert values == {
        "GRUB_CMDLINE_LINUX": "'quiet '\"'\"'x'\"'\"' console=tty0 console=ttyS0,115200n8'",
        "GRUB_TIMEOUT": "3",
        "GRUB_DISABLE_OS_PROBER": "true",
        "GRUB_TERMINAL": '"console serial"',
        "GRUB_SERIAL_COMMAND": '"serial --unit=0 --speed=115200 --parity=no --word=8"',
    }
    assert bootloader.settings(Bootloader()) == {"GRUB_CMDLINE_LINUX": '""', "GRUB_DISABLE_OS_PROBER": "true"}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "the target has no kernel: add linux-image"),
        (["/boot/vmlinuz-6.1", "/boot/initrd.img-6.1"], "the target has no GRUB for BIOS: add grub-pc"),
    ],
)
def test_a_target_that_cannot_boot(target: Target, files: list[str], message: str) -> None:
    for name in files:
        target.write(name, "")
    with pytest.raises(InstallError, match=message):
        bootloader.install(target, Bootloader(), BootLoaders((0,), efi=False), ["/dev/vda"])


def grub(tmp_path: Path, mkconfig: str) -> Target:
    """A target with a kernel and GRUB's files, whose programs only say that they ran. ``chroot`` runs them here."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in {
        "chroot": f'root=$1; shift; export root; echo "$1" >> {tmp_path}/ran; exec "$@"',
        "grub-install": f"[ -e {tmp_path}/fail ] && exit 1; exit 0",
        "grub-mkconfig": mkconfig,
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    root = tmp_path / "root"
    commands = CommandRunner(lambda _: None, environment={"PATH": f"{programs}:/usr/bin:/bin"})
    target = Target(root, commands.inside(root))
    for name in ("/boot/vmlinuz-6.1", "/boot/initrd.img-6.1", "/usr/sbin/grub-install", "/usr/lib/grub/i386-pc/x"):
        target.write(name, "")
    target.path("/run").mkdir()
    return target


def test_grubs_configuration_is_made_beside_its_installation(tmp_path: Path) -> None:
    target = grub(tmp_path, 'echo menu > "$root/$2"; chmod 444 "$root/$2"')
    bootloader.install(target, Bootloader(), BootLoaders((0,), efi=False), ["/dev/vda", "/dev/vdb"])
    assert sorted((tmp_path / "ran").read_text().split()) == ["grub-install", "grub-install", "grub-mkconfig"]
    assert target.read("/boot/grub/grub.cfg") == "menu\n"
    assert target.path("/boot/grub/grub.cfg").stat().st_mode & 0o777 == 0o444
    assert not target.has("/run/grub.cfg")


@pytest.mark.parametrize("which", ["grub-mkconfig", "grub-install"])
def test_either_may_fail(tmp_path: Path, which: str) -> None:
    target = grub(tmp_path, "exit 1" if which == "grub-mkconfig" else 'echo menu > "$root/$2"')
    if which == "grub-install":
        (tmp_path / "fail").touch()
    with pytest.raises(InstallError, match=f"{which} ended with exit status 1"):
        bootloader.install(target, Bootloader(), BootLoaders((0,), efi=False), ["/dev/vda"])
    assert not target.has("/boot/grub/grub.cfg")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "the target has no GRUB for UEFI: add grub-efi-amd64"),
        (["/usr/sbin/grub-install"], "the target has no GRUB for UEFI: add grub-efi-amd64"),
    ],
)
def test_a_target_that_uefi_cannot_boot(target: Target, files: list[str], message: str) -> None:
    for name in files:
        target.write(name, "")
    with pytest.raises(InstallError, match=message):
        efi.install(target, secure=False)


def test_secure_boot_starts_shim_and_debians_grub(target: Target) -> None:
    with pytest.raises(InstallError, match=r"needs /usr/lib/shim/shimx64\.efi\.signed in the target: add shim-signed"):
        efi.install_signed(target, "some-uuid", "/boot/grub")
    target.write("/boot/efi/EFI/BOOT/BOOTX64.EFI", "GRUB without a signature")
    target.write("/usr/lib/shim/shimx64.efi.signed", "shim")
    target.write("/usr/lib/shim/mmx64.efi.signed", "MOK manager")
    target.write("/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed", "signed GRUB")
    efi.install_signed(target, "some-uuid", "/boot/grub")
    found = {path.name: path.read_text() for path in target.path("/boot/efi").rglob("*") if path.is_file()}
    assert found == {
        "BOOTX64.EFI": "shim",
        "mmx64.efi": "MOK manager",
        "grubx64.efi": "signed GRUB",
        "grub.cfg": "search.fs_uuid some-uuid root\nset prefix=($root)'/boot/grub'\nconfigfile $prefix/grub.cfg\n",
    }
    assert target.has("/boot/efi/EFI/debian/grub.cfg")


def test_a_link_is_replaced_and_not_followed(target: Target, tmp_path: Path) -> None:
    outside = tmp_path.parent / "outside"
    outside.write_text("untouched")
    target.path("/etc").mkdir()
    target.path("/etc/resolv.conf").symlink_to(outside)
    target.write("/etc/resolv.conf", "mine")
    assert outside.read_text() == "untouched"
    assert target.read("/etc/resolv.conf") == "mine"


def test_host_keys_are_made_for_a_server(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "ssh-keygen"  # the real one would make keys of this host
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/argv\n')
    program.chmod(0o755)
    path = {"PATH": f"{program.parent}:/usr/bin:/bin"}
    target = Target(tmp_path / "root", CommandRunner(lambda _: None, environment=path))
    accounts.make_host_keys(target)
    assert not (tmp_path / "argv").exists()
    for name in ("/usr/sbin/sshd", "/usr/bin/ssh-keygen"):
        target.write(name, "")
    accounts.make_host_keys(target)
    assert (tmp_path / "argv").read_text() == "-A\n"
