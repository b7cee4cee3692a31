"""The console of a booting guest: login prompts, signs of failure, and output in any pieces."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagebuild.verify import boot_console
from imagebuild.verify.boot_console import FAILURES, BootConsole

LOGINS = {
    "Debian": "\r\n\r\nDebian GNU/Linux 13 debian ttyS0\r\n\r\ndebian login: ",
    "RHEL": (
        "\r\nRocky Linux 9.4 (Blue Onyx)\r\nKernel 5.14.0-427.13.1.el9_4.x86_64 on an x86_64\r\n\r\n"
        "Activate the web console with: systemctl enable --now cockpit.socket\r\n\r\nlocalhost login: "
    ),
    "SUSE": (
        "\x1b[H\x1b[2J\r\nWelcome to openSUSE Leap 15.6 - Kernel 6.4.0-150600.21-default (ttyS0).\r\n\r\n"
        "eth0: 10.0.2.15 fec0::5054:ff:fe12:3456\r\n\r\n\r\nlocalhost login: "
    ),
    "Ubuntu in colours": "\r\x1b[K\x1b[0m\r\nUbuntu 24.04 LTS vm-1.example ttyS0\r\n\r\nvm-1.example login: ",
    "without a name": "\r\n\r\nlogin: ",
    "with a message of the kernel behind": "\r\nweb-1 login: [   31.224] random: crng init done\r\n",
}

PANIC = (
    "[    2.345678] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\r\n"
    "[    2.346012] CPU: 0 PID: 1 Comm: swapper/0 Not tainted 6.1.0-18-amd64 #1  Debian 6.1.76-1\r\n"
)
FAILED = {
    "kernel panic": (PANIC, "the kernel panicked: VFS: Unable to mount root fs on unknown-block(0,0)"),
    "emergency mode of systemd": (
        '\r\nYou are in emergency mode. After logging in, type "journalctl -xb" to view\r\n',
        "the guest is in emergency mode",
    ),
    "emergency mode of dracut": (
        '\r\nGenerating "/run/initramfs/rdsosreport.txt"\r\n\r\nEntering emergency mode. Exit the shell to continue.',
        "the guest is in emergency mode",
    ),
    "maintenance": (
        "Give root password for maintenance\r\n(or press Control-D to continue): ",
        "the guest is in emergency mode",
    ),
    "locked root": (
        "\r\nCannot open access to console, the root account is locked.\r\nSee sulogin(8) man page for more details.",
        "the guest is in emergency mode",
    ),
    "initramfs-tools": (
        "ALERT!  UUID=0a3407de-014b-458b-b5c1-848e92a327a3 does not exist.  Dropping to a shell!\r\n",
        (
            "the initramfs does not find the root file system: "
            "ALERT!  UUID=0a3407de-014b-458b-b5c1-848e92a327a3 does not exist"
        ),
    ),
    "initramfs-tools, before": (
        "Gave up waiting for root file system device.  Common problems:\r\n - Boot args (cat /proc/cmdline)\r\n",
        "the initramfs does not find the root file system",
    ),
    "shell of the initramfs": (
        "BusyBox v1.35.0 (Debian 1:1.35.0-4+b3) built-in shell (ash)\r\n\r\n(initramfs) ",
        "the initramfs opened a shell instead of the root file system",
    ),
    "dracut": (
        "[  190.512] dracut-initqueue[325]: Warning: Could not boot.\r\n",
        "the initramfs does not find the root file system: Could not boot.",
    ),
    "passphrase of systemd": (
        "\r\nPlease enter passphrase for disk QEMU_HARDDISK (luks-0a34): ",
        (
            "the guest asks for a passphrase that nobody can enter: "
            "Please enter passphrase for disk QEMU_HARDDISK (luks-0a34):"
        ),
    ),
    "passphrase of cryptsetup-initramfs": (
        "\r\nPlease unlock disk vda3_crypt: ",
        "the guest asks for a passphrase that nobody can enter: Please unlock disk vda3_crypt:",
    ),
    "passphrase of GRUB": (
        "Enter passphrase for hd0,gpt2 (0a3407de014b458bb5c1848e92a327a3): ",
        (
            "the guest asks for a passphrase that nobody can enter: "
            "Enter passphrase for hd0,gpt2 (0a3407de014b458bb5c1848e92a327a3):"
        ),
    ),
    "GRUB without its device": (
        (
            "GRUB loading.\r\nWelcome to GRUB!\r\n\r\nerror: no such device: 0a3407de-014b-458b-b5c1-848e92a327a3.\r\n"
            "Entering rescue mode...\r\ngrub rescue> "
        ),
        "GRUB reports: no such device: 0a3407de-014b-458b-b5c1-848e92a327a3.",
    ),
    "GRUB without its modules": (
        "Welcome to GRUB!\r\n\r\nerror: file `/boot/grub/i386-pc/normal.mod' not found.\r\nEntering rescue mode...\r\n",
        "GRUB reports: file `/boot/grub/i386-pc/normal.mod' not found.",
    ),
    "GRUB without a kernel": (
        (
            "Loading Linux 6.1.0-18-amd64 ...\r\nerror: file `/boot/vmlinuz-6.1.0-18-amd64' not found.\r\n"
            "Loading initial ramdisk ...\r\nerror: you need to load the kernel first.\r\n\r\nPress any key"
        ),
        "GRUB reports: file `/boot/vmlinuz-6.1.0-18-amd64' not found.",
    ),
    "GRUB's rescue shell": ("\r\ngrub rescue> ", "the boot loader GRUB did not find its files"),
    "SeaBIOS": (
        "Booting from Hard Disk...\r\nBoot failed: not a bootable disk\r\n\r\nNo bootable device.\r\n",
        "the firmware found nothing to boot",
    ),
    "edk2": (
        "BdsDxe: No bootable option or device was found.\r\nBdsDxe: Press any key to enter the Boot Manager Menu.\r\n",
        "the firmware found nothing to boot",
    ),
    "Secure Boot, edk2": (
        'BdsDxe: failed to load Boot0001 "UEFI Misc Device" from PciRoot(0x0)/Pci(0x2,0x0): Access Denied\r\n',
        "Secure Boot refused the boot loader",
    ),
    "Secure Boot, GRUB": ("error: bad shim signature.\r\n", "Secure Boot refused the kernel or the boot loader"),
    "Secure Boot, shim": (
        "Verification failed: (0x1A) Security Violation\r\n",
        "Secure Boot refused the kernel or the boot loader",
    ),
}

NORMAL = """\
SeaBIOS (version 1.16.2-debian-1.16.2-1)
Booting from Hard Disk...
GRUB loading..
Welcome to GRUB!

error: file `/boot/grub/fonts/unicode.pf2' not found.
error: no such device: /.disk/info.
error: no suitable video mode found.
Booting in blind mode
[    0.000000] Linux version 6.1.0-18-amd64 (debian-kernel@lists.debian.org)
[    0.000000] Command line: BOOT_IMAGE=/vmlinuz root=UUID=0a3407de-014b-458b-b5c1-848e92a327a3 ro panic=30 \
console=ttyS0
[    0.412345] pcieport 0000:00:02.0: pciehp: error: slot capabilities
[    1.100000] systemd[1]: unit emergency.service: loaded
[    1.200000] systemd[1]: Expecting device dev-disk-by\\x2dlabel-emergency.device
[  \x1b[0;32mOK\x1b[0m  ] Created slice \x1b[0;1;39msystem-getty.slice\x1b[0m - Slice /system/getty.
[  \x1b[0;32mOK\x1b[0m  ] Started \x1b[0;1;39msystemd-ask-passwo…quests to Console Directory Watch\x1b[0m.
error: kdump: no such device as crash kernel
[FAILED] Failed to start \x1b[0;1;39mfirewalld.service\x1b[0m.
cloud-init[512]: pam_unix(login:session): session opened
rescue login:enabled
[  OK  ] Reached target \x1b[0;1;39mgraphical.target\x1b[0m - Graphical Interface.
Last login: Sun Nov 29 12:00:00 UTC 2026 on ttyS0
"""


def fed(text: str, *, piece: int) -> BootConsole:
    data, console = text.encode(), BootConsole()
    for at in range(0, len(data), piece):
        console.feed(data[at : at + piece])
    return console


@pytest.mark.parametrize("piece", [1, 2, 7, 1 << 20])
@pytest.mark.parametrize("text", LOGINS.values(), ids=LOGINS)
def test_login_prompts(text: str, piece: int) -> None:
    console = fed(NORMAL.replace("\n", "\r\n") + text, piece=piece)
    assert console.login
    assert console.failure is None


@pytest.mark.parametrize("piece", [1, 2, 7, 1 << 20])
@pytest.mark.parametrize(("text", "sentence"), FAILED.values(), ids=FAILED)
def test_failures(text: str, sentence: str, piece: int) -> None:
    console = fed(f"[    0.1] booting\r\n{text}", piece=piece)
    assert console.failure == sentence
    assert not console.login


def test_every_pattern_has_a_text() -> None:
    for number, (pattern, _) in enumerate(FAILURES):
        one = boot_console._PATTERNS[number][0]
        assert any(one.search(f"\n{text}".replace("\r", "")) for text, _ in FAILED.values()), pattern


@pytest.mark.parametrize("piece", [1, 3, 1 << 20])
def test_a_normal_boot_is_no_false_alarm(piece: int) -> None:
    console = fed(NORMAL, piece=piece)
    assert (console.login, console.failure) == (False, None)


def test_the_first_of_several_failures_counts() -> None:
    several = FAILED["dracut"][0] + FAILED["emergency mode of dracut"][0] + PANIC
    for piece in (1, 5, 1 << 20):
        assert fed(several, piece=piece).failure == FAILED["dracut"][1]


def test_escapes_are_removed_wherever_they_are_cut() -> None:
    text = "a\x1b[1;31mb\x1b[0m\x1b]0;title\x07c\x1b(Bd\x1b[?25le\x1b=\x00f\r\nKernel p\x1b[1manic - not syncing: x\r\n"
    for piece in range(1, 12):
        console = fed(text, piece=piece)
        assert console.text == "abcdef\nKernel panic - not syncing: x\n"
        assert console.failure == "the kernel panicked: x"


def test_characters_are_not_cut_in_pieces() -> None:
    assert fed("Grüße – ✓\n", piece=1).text == "Grüße – ✓\n"
    console = BootConsole()
    console.feed(b"\xff\xfe ok\n")
    assert console.text == "\ufffd\ufffd ok\n"


PIECES = st.lists(
    st.sampled_from(
        [
            *LOGINS.values(),
            *(text for text, _ in FAILED.values()),
            NORMAL,
            "\x1b",
            "\x1b[",
            "[31m",
            "\n",
            "x" * 700,
            "é",
        ]
    ),
    max_size=5,
)


@given(PIECES, st.randoms(use_true_random=False))
def test_the_sizes_of_the_pieces_do_not_matter(texts: list[str], chance: random.Random) -> None:
    data, console = "".join(texts).encode(), BootConsole()
    at = 0
    while at < len(data):
        size = chance.choice([1, 2, 3, 50, 500, 5000])
        console.feed(data[at : at + size])
        at += size
    at_once, by_byte = BootConsole(), fed("".join(texts), piece=1)
    at_once.feed(data)
    for other in (at_once, by_byte):
        assert (console.login, console.failure) == (other.login, other.failure)
        assert console.text == other.text


@pytest.mark.seconds
def test_endless_output_is_bounded_and_the_newest_is_kept() -> None:
    console = BootConsole()
    line = b"[  12.345678] audit: type=1400 audit(1700000000.123:456): nothing to see here\r\n"
    for _ in range((10 << 20) // len(line)):
        console.feed(line)
        assert console._length <= 2 * boot_console._LONGEST + len(line)
    assert len(console.text) == boot_console._LONGEST
    # A large piece is read to its end, even now.
    console.feed(b"\r\nhost login: " + line * 60)
    assert console.login
    assert console.last_lines(1) == (line.decode().strip(),)


@pytest.mark.parametrize("start", ["\x1b]", "\x1bP", "\x1b[", "\x1b"])
def test_an_escape_without_end_hides_nothing(start: str) -> None:
    for piece in (1, 100):
        console = fed(f"{start}{'0;' * 3000}\n{PANIC}", piece=piece)
        assert console.failure == FAILED["kernel panic"][1]


def test_a_reboot_starts_again() -> None:
    console = fed(PANIC + LOGINS["Debian"] + "\x1b[3", piece=9)
    assert console.login
    assert console.failure
    console.again()
    assert (console.text, console.login, console.failure, console.last_lines()) == ("", False, None, ())
    console.feed(b"1m" + LOGINS["RHEL"].encode())
    assert console.login
    assert console.text.startswith("1m\nRocky")


def test_the_last_lines_are_those_that_are_not_empty() -> None:
    console = fed("".join(f"{number}\r\n\r\n" for number in range(30)), piece=100)
    assert console.last_lines() == tuple(str(number) for number in range(10, 30))
    assert console.last_lines(2) == ("28", "29")


def test_braces_of_a_guest_are_no_format() -> None:
    assert fed("Kernel panic - not syncing: {0} {what} %s\n", piece=4).failure == "the kernel panicked: {0} {what} %s"
