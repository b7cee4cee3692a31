"""The allow-list: nothing that kickstrap does not carry out gets past it, whatever pykickstart
knows.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pykickstart.errors import KickstartError, KickstartParseWarning
from pykickstart.handlers.f43 import F43Handler
from pykickstart.parser import KickstartParser
from pykickstart.version import makeVersion

from imagebuild.kickstrap.agent import volume_rules
from imagebuild.kickstrap.agent.machine import TargetMachine
from imagebuild.kickstrap.agent.supported import COMMANDS, KICKSTART_VERSION, PARSED, SECTIONS, Unsupported, check
from imagebuild.kickstrap.agent.treatment import DONE, NOTED, REFUSED, UNKNOWN, CommandOutcome

GOOD = """\
text
lang en_US.UTF-8 --addsupport=de_DE.UTF-8
keyboard --vckeymap=us --xlayouts='us','de (nodeadkeys)' --switch=grp:alt_shift_toggle
timezone Europe/Berlin --utc
rootpw --iscrypted $6$salt$hash
group --name=staff2 --gid=2000
user --name=ops --groups=sudo,adm --password=x --plaintext --uid=1500 --gid=2000 --shell=/bin/sh --homedir=/srv/ops
sshkey --username=root "ssh-ed25519 AAAA ops@example"
network --device=eth0 --bootproto=static --ip=192.0.2.5 --netmask=255.255.255.0 --gateway=192.0.2.1 --nameserver=192.0.2.1
network --hostname=vm.example
firewall --disabled
selinux --disabled
services --enabled=ssh --disabled=cron
firstboot --disabled
skipx
eula --agreed
zerombr
clearpart --all --initlabel --disklabel=msdos
part / --fstype=ext4 --size=1024 --grow --label=root --fsoptions=noatime
part /var --fstype=xfs --size=512 --maxsize=1024 --grow
bootloader --location=mbr --timeout=1 --append="console=ttyS0"
url --url="http://mirror.example/debian trixie main"
repo --name=updates --baseurl="http://mirror.example/debian trixie-updates main"
poweroff
%packages --nocore --exclude-weakdeps
vim
-nano
%end
%pre --interpreter=/bin/sh --erroronfail --log=/tmp/pre.log
true --anything=goes
%end
%post --nochroot
true
%end
"""  # noqa: E501


BLANK = makeVersion(KICKSTART_VERSION)
"""A handler that parses nothing: creating one takes long."""
KNOWN = F43Handler.commandMap


def findings(text: str, machine: TargetMachine | None = None) -> list[Unsupported]:
    handler = F43Handler(mapping={name: KNOWN[name] for name in PARSED & KNOWN.keys()}, dataMapping=F43Handler.dataMap)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KickstartParseWarning)
        KickstartParser(handler, followIncludes=False).readKickstartFromString(text)
    return check(handler, text, machine)


def messages(text: str) -> list[str]:
    return [finding.message for finding in findings(text)]


def replaced(start: str, line: str) -> str:
    """GOOD with the line that starts with ``start`` replaced by ``line``."""
    lines = [line if old.startswith(start) else old for old in GOOD.splitlines()]
    assert line in lines
    return "\n".join(lines) + "\n"


def test_everything_supported_passes() -> None:
    assert findings(GOOD) == []


def test_a_liveimg_needs_no_mirror() -> None:
    text = replaced("url", f"liveimg --url=file:///run/kickstrap/payload --checksum={'0a' * 32}")
    assert findings(text.replace("repo --name", "#")) == []


def known_options() -> Iterator[tuple[str, str]]:
    """Every option of every command in pykickstart's parsers."""
    for name, command in BLANK.commands.items():
        for action in command.op._actions if hasattr(command, "op") else ():
            yield from ((name, option) for option in action.option_strings)


def scan(line: str) -> list[str]:
    """The messages about one line, which need not be valid otherwise."""
    return [finding.message for finding in check(BLANK, line + "\n")]


def said(what: str, outcome: CommandOutcome) -> str | None:
    """The message about something with this outcome."""
    if outcome.kind == NOTED:
        return f"{what} has no effect on Debian: {outcome.why}"
    return f"{what} is not supported by kickstrap" if outcome.kind == REFUSED else None


@pytest.mark.parametrize("command", sorted(BLANK.commands))
def test_every_command_is_carried_out_noted_or_refused(command: str) -> None:
    outcome = COMMANDS[command].itself
    expected = said(command, outcome)
    found = [finding for finding in check(BLANK, command + "\n") if finding.message == expected]
    assert [finding.severity for finding in found] == {DONE: [], NOTED: ["warning"], REFUSED: ["error"]}[outcome.kind]


@pytest.mark.parametrize(("command", "option"), sorted(known_options()))
def test_every_option_is_carried_out_noted_or_refused(command: str, option: str) -> None:
    treatment = COMMANDS[command]
    if treatment.itself.kind == DONE:
        expected = said(f"{command}: {option}", treatment.of(option))
        assert {one for one in scan(f"{command} {option}=1") if one.startswith(f"{command}: {option} ")} == (
            {expected} - {None}
        )
    else:
        assert said(command, treatment.itself) in scan(f"{command} {option}=1")


def test_an_option_that_no_table_has_is_an_error() -> None:
    assert COMMANDS["url"].of("--new") is UNKNOWN
    assert "url: --new is not supported by kickstrap" in scan("url --new=1")


@pytest.mark.parametrize(
    "name", ["%addon x", "%anaconda", "%certificate --filename=a --dir=/b", "%onerror", "%traceback"]
)
def test_other_sections_are_noted_or_refused(name: str) -> None:
    word = name.split()[0]
    (found,) = findings(f"{GOOD}{name}\ntext\n%end\n")
    assert found.message == said(word, SECTIONS[word].itself)


def test_an_abbreviated_option_is_the_one_that_it_stands_for() -> None:
    assert findings(GOOD.replace("--label=root", "--lab=root")) == []
    assert "part: --onp is not supported by kickstrap" in scan("part / --onp=sda1")
    assert "part: --q is not supported by kickstrap" in scan("part / --q")


def test_the_line_is_right_after_a_script() -> None:
    text = "%pre\nmount\n%end\n" + GOOD + "skipx --fast\n"
    found = check(BLANK, text)
    assert (len(text.splitlines()), "skipx: --fast is not supported by kickstrap") in [f[:2] for f in found]
    assert not any("mount" in f.message for f in found)


@pytest.mark.parametrize("line", ["%include /tmp/more", "%include http://x.example/ks", "%ksappend /tmp/more"])
@pytest.mark.parametrize("where", ["{} \n{}", "{1}%packages\n{0}\n%end\n"])
def test_inclusions_are_errors_anywhere(line: str, where: str) -> None:
    found = check(BLANK, where.format(line, GOOD))
    assert f"{line.split()[0]} is not supported by kickstrap" in [finding.message for finding in found]


@pytest.mark.parametrize(
    ("start", "line", "message"),
    [
        ("part /var", "part prepboot --size=5", "part prepboot: this mount point is not supported by kickstrap"),
        ("part /var", "part pv.01 --size=512", "pv.01 is not used"),
        ("part /var", "part swap --size=512 --fstype=ext4", "part swap: --fstype=ext4 is not swap space"),
        ("part /var", "part /var --size=5 --fstype=efi", "part /var: --fstype=efi and /boot/efi belong together"),
        ("part /var", "part /boot/efi --size=5", "part /boot/efi: --fstype=efi and /boot/efi belong together"),
        ("part /var", "part biosboot --size=1", "part biosboot needs a GPT"),
        ("part /var", "part /boot/efi --fstype=efi --size=50", "an EFI system partition needs a GPT"),
        ("part /var", "part /var --size=5 --ondisk=vda1", "part /var: --ondisk: 'vda1' is not a known disk"),
        ("skipx", "ignoredisk --only-use=nvme0n1", "ignoredisk: 'nvme0n1' is not a known disk"),
        ("clearpart", "clearpart --all --drives=dm-0", "clearpart: --drives: 'dm-0' is not a known disk"),
        ("bootloader", "bootloader --boot-drive=x", "bootloader: --boot-drive: 'x' is not a known disk"),
        ("part /var", "part /var --size=512 --fstype=jfs", "part /var: --fstype=jfs is not supported by kickstrap"),
        ("part /var", "part / --size=9 --mkfsoptions='-m \"0'", "part /: --mkfsoptions has a quote that does not end"),
        ("part /var", "part /proc/x --size=5", "part /proc/x: this mount point belongs to the kernel"),
        ("part /var", "part / --size=5", "part /: this mount point is already taken"),
        ("part / ", "part /srv --size=5", "there is no root partition"),
        ("part /var", "part /var --size=9 --maxsize=5", "part /var: --maxsize is smaller than --size"),
        (
            "part /var",
            "part /var --size=9 --fstype=xfs --label=thirteenchars",
            "part /var: --label is longer than 12 bytes, the limit of xfs",
        ),
        ("part /var", "part /var --size=9 --fsoptions='a, b'", "part /var: --fsoptions contains a space"),
        ("clearpart", "clearpart --all --disklabel=mac", "clearpart: --disklabel=mac is not supported by kickstrap"),
        ("clearpart", "clearpart --all --disklabel=dasd", "clearpart: --disklabel=dasd is not supported by kickstrap"),
        ("bootloader", "bootloader --location=boot", "bootloader: --location=boot is not supported by kickstrap"),
        ("network --host", "network --bondslaves=eth1,eth2",
            "network: --device is missing: the name of the bond or bridge"),
        ("network --host", "network --device=00:11:22:33:44:55",
            "network: --device=00:11:22:33:44:55 is not supported by kickstrap"),
        ("network --host", "network --device=eth1 --vlanid=4095", "network: --vlanid=4095 is not from 1 to 4094"),
        ("network --host", "network --device=eth1 --mtu=9", "network: --mtu=9 is not from 68 to 65536"),
        ("network --host", "network --device=eth1 --ipv6=2001:db8::7",
            "network: --ipv6=2001:db8::7 is not an IPv6 address with its prefix"),
        ("network --host", "network --device=bond0 --bondslaves=eth1 --bondopts='mode=1 x'",
            "network: mode=1 x is not an option of a bond or bridge"),
        (
            "network --host",
            "network --device=eth1 --bootproto=query",
            "network: --bootproto=query is not supported by kickstrap",
        ),
        (
            "network --host",
            "network --device=eth1 --bootproto=static --ip=192.0.2.7",
            "network: --bootproto=static needs --ip and --netmask",
        ),
        ("network --host", "network --hostname=a_b", "network: 'a_b' is not a host name"),
        ("url", "url --url=http://mirror.example/debian", "url: 'http://mirror.example/debian' has no suite"),
        ("url", "url --url='ftp://mirror.example/d trixie'",
            "url: 'ftp://mirror.example/d' is not an http or https address"),
        ("vim", "vim*", "%packages: vim*: Debian has no such package name"),
        ("vim", "@kde", "%packages: @kde: Debian has no such package group"),
        ("vim", "@^server", "%packages: @^server: Debian has no such package group"),
        ("sshkey", 'sshkey --username=root "hello"', "sshkey: the key of root is not a public SSH key"),
        ("user", "user --name=Big", "user: 'Big' is not a Debian account name"),
        ("lang", "lang 'en US'", "lang: 'en US' is not a locale"),
        ("timezone", "timezone ../../etc/passwd", "timezone: '../../etc/passwd' is not a time zone"),
        ("keyboard", "keyboard 'us;reboot'", "keyboard: 'us;reboot' is not a layout"),
    ],
)  # fmt: skip
def test_values_that_are_not_supported(start: str, line: str, message: str) -> None:
    text = replaced(start, line)
    number = text.splitlines().index(line) + 1
    found = [finding for finding in findings(text) if finding.message == message]
    assert len(found) == 1
    assert found[0].line == number or "missing" in message or "no root" in message


LAYERS = """\
clearpart --all --initlabel
part raid.1 --size=100 --ondisk=vda
part raid.2 --size=100 --ondisk=vdb
part pv.1 --size=900 --ondisk=vda
part pv.2 --size=900 --ondisk=vdb
part btrfs.1 --size=300 --ondisk=vda
part btrfs.2 --size=300 --ondisk=vdb
raid /boot --level=1 --device=boot --fstype=ext4 raid.1 raid.2
volgroup system pv.1 pv.2 --pesize=8192
logvol / --vgname=system --name=root --size=500 --grow --fstype=xfs --label=root
logvol swap --vgname=system --name=swap --percent=10
btrfs none --label=pool --data=single --metadata=raid1 btrfs.1 btrfs.2
btrfs /srv --subvol --name=srv LABEL=pool
btrfs none --subvol --name=spare pool
liveimg --url=file:///run/kickstrap/payload
"""


def layers(start: str, *lines: str) -> str:
    """LAYERS with the line that starts with ``start`` replaced by ``lines``."""
    old = LAYERS.splitlines()
    assert any(line.startswith(start) for line in old)
    kept = [new for line in old for new in (lines if line.startswith(start) else (line,))]
    return "\n".join(kept) + "\n"


def test_layers_pass() -> None:
    assert findings(LAYERS) == []


@pytest.mark.parametrize(
    ("start", "line", "number", "message"),
    [
        ("volgroup", "volgroup system pv.1 pv.2 pv.3", 9, "volgroup system: there is no pv.3"),
        ("volgroup", "volgroup system pv.1 pv.2 raid.1", 9, "volgroup system: raid.1 cannot be a member"),
        ("volgroup", "volgroup system pv.1 pv.2 pv.1", 9, "volgroup system: pv.1 is already in use"),
        ("volgroup", "volgroup system pv.1", 5, "pv.2 is not used"),
        (
            "volgroup",
            "volgroup system pv.1 pv.2 --pesize=5000",
            9,
            "volgroup system: --pesize=5000 is not a power of 2 from 4 KiB to 1 GiB",
        ),
        ("volgroup", "volgroup ../x pv.1 pv.2", 9, "volgroup: '../x' is not a valid volume group name"),
        ("logvol swap", "logvol swap --vgname=other --name=swap --size=9", 11, "logvol: there is no volgroup other"),
        ("logvol swap", "logvol swap --vgname=system --name=root --size=9", 11,
            "logvol: the name system/root is already taken"),
        ("logvol swap", "logvol swap --vgname=system --name=-x --size=9", 11,
            "logvol: '-x' is not a valid logical volume name"),
        ("logvol swap", "logvol /boot/efi --vgname=system --name=x --size=9 --fstype=efi", 11,
            "logvol /boot/efi: firmware cannot read LVM"),
        (
            "logvol swap",
            "logvol /x --vgname=system --name=x --size=2000",
            11,
            "logvol system/x: the volumes need 2504 MiB, but the group system has 1792 MiB",
        ),
        ("logvol swap", "logvol /x --vgname=system --name=x --size=5 --thin --poolname=p", 11,
            "logvol system/x: there is no thin pool p in system"),
        ("logvol / ", "logvol none --thinpool --vgname=system --name=p --size=500 --chunksize=100", 10,
            "logvol system/p: --chunksize=100 is not a multiple of 64 KiB"),
        ("logvol / ", ("logvol none --thinpool --vgname=system --name=p --size=900\n"
            "logvol / --vgname=system --name=x --thin --poolname=p --size=700 --fstype=ext4"), 11,
            f"logvol /: {volume_rules.NO_THIN_ROOT}"),
        ("raid", "raid /boot --level=5 --device=boot raid.1 raid.2", 8,
            "raid /boot: an array of level 5 needs at least 3 members, but this one has 2"),
        ("raid", "raid /boot --level=1 --device=boot raid.1", 8,
            "raid /boot: an array of level 1 needs at least 2 members, but this one has 1"),
        ("raid", "raid /boot --level=1 --spares=1 --device=boot raid.1 raid.2", 8,
            "raid /boot: an array of level 1 needs at least 2 members, but this one has 1"),
        ("raid", "raid /boot --level=1 --chunksize=3 --device=boot raid.1 raid.2", 8,
            "raid /boot: --chunksize=3 is not a power of 2 from 4 KiB on"),
        ("btrfs /srv", "snapshot system/root --name=fresh --when=post-install", 13,
            "snapshot: there is no thin volume system/root"),
        ("btrfs /srv", "snapshot system/root --name=fresh --when=pre-install", 13,
            "snapshot: the disks have no earlier state"),
        ("raid", "raid /boot --encrypted --passphrase=x --level=1 --device=boot raid.1 raid.2", 8,
            "/boot cannot be encrypted: GRUB reads the kernel from it"),
        ("part raid.1", "part raid.1 --encrypted --passphrase=x --size=100 --ondisk=vda", 8,
            "/boot cannot be encrypted: GRUB reads the kernel from it"),
        ("part pv.1", "part pv.1 --encrypted --size=900 --ondisk=vda", 4,
            "--encrypted needs a passphrase: nobody could enter it during the installation"),
        ("part pv.1", "part pv.1 --encrypted --passphrase=x --cipher=AES/x --size=900 --ondisk=vda", 4,
            "--cipher=AES/x is not a cipher"),
        ("part pv.1", "part pv.1 --encrypted --passphrase=x --luks-version=luks1 --size=900 --ondisk=vda", 4,
            "--luks-version=luks1 is not supported by kickstrap"),
        ("raid", "raid /boot --level=1 --device=a/b raid.1 raid.2", 8,
            "raid /boot: --device=a/b is not a valid array name"),
        ("raid", "raid /boot/efi --fstype=efi --level=0 --device=efi raid.1 raid.2", 8,
            "raid /boot/efi: firmware can only read RAID 1"),
        ("btrfs none --label", "btrfs none btrfs.1 btrfs.2", 12, "btrfs none: --label is missing"),
        ("btrfs none --label", "btrfs none --label=pool --data=raid10 btrfs.1 btrfs.2", 12,
            "btrfs pool: raid10 needs at least 4 members"),
        ("btrfs /srv", "btrfs /srv --subvol --name=srv other", 13,
            "btrfs --subvol: there is no btrfs volume with the label other"),
        ("btrfs /srv", "btrfs /srv --subvol --name=spare pool", 13, "btrfs --subvol: the name spare is used twice"),
        ("btrfs /srv", "btrfs /srv --subvol --name=../x pool", 13,
            "btrfs --subvol: '../x' is not a valid subvolume name"),
    ],
)  # fmt: skip
def test_invalid_layers(start: str, line: str, number: int, message: str) -> None:
    assert (number, message) in [finding[:2] for finding in findings(layers(start, line))]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("autopart --fstype=jfs", "autopart: --fstype=jfs is not supported by kickstrap"),
        ("autopart --type=thinp", f"autopart: --type=thinp puts / on a thin volume: {volume_rules.NO_THIN_ROOT}"),
        ("autopart --encrypted", "--encrypted needs a passphrase: nobody could enter it during the installation"),
        ("autopart\nbtrfs none --label=x btrfs.1", "autopart and btrfs exclude each other"),
    ],
)
def test_an_autopart_that_is_not_supported(line: str, message: str) -> None:
    assert message in messages(GOOD.replace("part /", "#").replace("skipx", line))


def test_the_machine_is_checked() -> None:
    assert findings(LAYERS, TargetMachine((1500, 1500))) == []
    (found,) = findings(LAYERS, TargetMachine((1200, 1500)))
    assert found[:2] == (
        6,
        "part btrfs.1: the partitions need 1200 MiB, but the disk vda has 1199 MiB for them (it is 1200 MiB)",
    )
    (found,) = findings(LAYERS, TargetMachine((1500,)))
    assert found[:2] == (3, "part raid.2: there is no disk vdb; the machine has vda")
    (found,) = findings(LAYERS, TargetMachine((1500, 1500), "uefi"))
    assert found.message == "the machine's firmware is UEFI, but there is no EFI system partition"


PACKAGES = "%packages\n{}\n%end\n"


@pytest.mark.parametrize(
    ("text", "machine", "missing"),
    [
        (LAYERS, None, ["btrfs-progs", "lvm2", "mdadm"]),
        (
            "clearpart --all\npart /boot/efi --fstype=efi --size=50\npart / --size=9\nliveimg --url=file:///payload\n",
            TargetMachine((4096,), "uefi"),
            ["grub-efi-amd64"],
        ),
        (replaced("part /var", "part /var --size=512 --fstype=btrfs"), None, ["btrfs-progs"]),
        (GOOD.replace("part /", "#").replace("skipx", "autopart"), None, ["lvm2"]),
        (GOOD.replace("part /", "#").replace("skipx", "autopart --type=btrfs"), None, ["btrfs-progs"]),
        (GOOD.replace("part /", "#").replace("skipx", "autopart --type=plain"), None, []),
        (
            GOOD.replace("part /var", "reqpart #").replace(" --disklabel=msdos", ""),
            TargetMachine((4096,), "uefi-secure"),
            ["grub-efi-amd64", "grub-efi-amd64-signed", "shim-signed"],
        ),
    ],
)
def test_packages_that_the_storage_needs(text: str, machine: TargetMachine | None, missing: list[str]) -> None:
    text = text if "%packages" in text else text + PACKAGES.format("vim")
    found = [finding for finding in findings(text, machine) if "needs the package" in finding.message]
    assert sorted(finding.hint or "" for finding in found) == [f"add {name} to %packages" for name in missing]
    whole = text.replace("vim\n", "\n".join(["vim", *missing, ""]))
    assert findings(whole, machine) == []


def test_two_payloads_exclude_each_other() -> None:
    found = findings(f"{GOOD}liveimg --url=file:///p --checksum={'0' * 64}\n")
    assert [finding.message for finding in found] == ["liveimg and url or repo exclude each other"]


def test_the_version_is_the_one_whose_handler_is_used() -> None:
    assert {name: type(command) for name, command in BLANK.commands.items()} == KNOWN


def test_a_fifth_partition_is_one_too_many() -> None:
    more = "".join(f"part /srv{i} --size=1\n" for i in range(3))
    assert messages(GOOD + more) == ["part: there are more than 4 partitions"]


def test_all_findings_are_reported_together_in_the_order_of_lines() -> None:
    lines = [finding.line for finding in check(BLANK, "cdrom\nlogging --host=a\nnetwork --essid=9\n")]
    assert lines == sorted(lines)
    assert set(lines) >= {1, 2, 3}


names = st.sampled_from(
    [
        "/",
        "/boot",
        "/boot/efi",
        "/var",
        "swap",
        "biosboot",
        "none",
        "pv.1",
        "pv.2",
        "raid.1",
        "raid.2",
        "raid.3",
        "btrfs.1",
        "x",
    ]
)
some_options = {
    "part": ["--size=9", "--size=0", "--grow", "--maxsize=5", "--ondisk=vdb", "--ondisk=x", "--fstype=efi",
        "--fstype=btrfs", "--label=l"],
    "raid": ["--level=1", "--level=0", "--level=5", "--device=md0", "--device=/x", "--fstype=efi", "raid.1", "raid.2",
        "raid.3"],
    "volgroup": ["pv.1", "pv.2", "raid.1", "--pesize=7", "--pesize=8192"],
    "logvol": ["--vgname=/", "--vgname=x", "--name=a", "--name=b", "--size=7", "--percent=200", "--percent=30",
        "--grow"],
    "btrfs": ["--label=x", "--subvol", "--name=a", "--name=b/c", "btrfs.1", "LABEL=x", "--data=1", "--metadata=raid10"],
    "clearpart": ["--all", "--disklabel=gpt", "--disklabel=msdos", "--drives=vda", "--drives=sdb"],
    "ignoredisk": ["--drives=vda", "--only-use=vdb"],
    "autopart": ["--type=lvm", "--type=btrfs", "--type=plain", "--noswap", "--fstype=xfs"],
    "reqpart": ["--add-boot"],
    "bootloader": ["--boot-drive=vdb", "--location=none"],
}  # fmt: skip


@st.composite
def storage_line(draw: st.DrawFn) -> str:
    command = draw(st.sampled_from(sorted(some_options)))
    words = draw(st.lists(st.sampled_from(some_options[command]), max_size=6))
    named = command in ("part", "raid", "volgroup", "logvol", "btrfs")
    return " ".join([command, *([draw(names)] if named else []), *words])


@pytest.mark.seconds
@given(
    st.lists(storage_line(), max_size=12),
    st.sampled_from(
        [None, TargetMachine((100,)), TargetMachine((5000, 200), "uefi"), TargetMachine((60_000,) * 3, "uefi-secure")]
    ),
)
def test_storage_lines_are_refused_or_fit(lines: list[str], machine: TargetMachine | None) -> None:
    """Whatever pykickstart can read: a finding with a line of the kickstart, or a layout that
    holds.
    """
    text = "\n".join([*lines, "liveimg --url=file:///payload", ""])
    try:
        found = findings(text, machine)
    except (KickstartError, ValueError):
        return
    assert all(1 <= finding.line <= len(lines) + 1 for finding in found)
