"""What is reported about the storage of a kickstart, and the packages that it needs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pykickstart.errors import KickstartError

from imagebuild.kickstrap.agent.machine import TargetMachine
from tests.kickstrap.kickstarts import GOOD, findings, messages

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
        ("raid /boot", ("logvol none --thinpool --vgname=system --name=p --size=200\n"
            "logvol /boot --vgname=system --name=x --thin --poolname=p --size=100"), 9,
            "logvol /boot: GRUB cannot read a thin volume"),
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


def test_a_fifth_partition_is_one_too_many() -> None:
    more = "".join(f"part /srv{i} --size=1\n" for i in range(3))
    assert messages(GOOD + more) == ["part: there are more than 4 partitions"]


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
