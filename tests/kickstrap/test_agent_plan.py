"""Converting a kickstart to plain values."""

from __future__ import annotations

import pytest

from imagebuild.kickstrap.agent import kickstart, plan, sources
from imagebuild.kickstrap.agent.disks import FileSystem, Partition
from imagebuild.kickstrap.agent.errors import InstallError
from imagebuild.kickstrap.agent.interfaces import Interface
from imagebuild.kickstrap.agent.plan import (
    Bootloader,
    Keyboard,
    Liveimg,
    Packages,
    Password,
    PlannedUser,
    UserGroup,
)
from imagebuild.kickstrap.agent.services import ServiceChanges
from imagebuild.kickstrap.agent.sources import AptSource
from tests.kickstrap.kickstarts import GOOD

SMALL = """\
clearpart --all
part / --size=100
liveimg --url=file:///run/kickstrap/payload
"""


def made(text: str) -> plan.InstallPlan:
    return plan.make(kickstart.read(text))


def test_a_full_kickstart() -> None:
    got = made(GOOD)
    assert got.storage.partitions == (
        Partition("/", 1024, grow=True, line=19),
        Partition("/var", 512, grow=True, maxsize=1024, line=20),
    )
    assert got.storage.file_systems == (
        FileSystem("/", "ext4", "/", "root", "noatime", line=19),
        FileSystem("/var", "xfs", "/var", line=20),
    )
    assert got.payload == Packages(
        sources=(
            AptSource("http://mirror.example/debian", "trixie"),
            AptSource("http://mirror.example/debian", "trixie-updates"),
        ),
        packages=("vim", "xfsprogs", "e2fsprogs", "locales"),
        excluded=("nano",),
        core=False,
        weak_dependencies=False,
    )
    assert got.bootloader == Bootloader("console=ttyS0", 1, True)
    assert got.hostname == "vm.example"
    assert got.interfaces == (Interface("eth0", "192.0.2.5", "255.255.255.0", "192.0.2.1", ("192.0.2.1",)),)
    assert got.languages == ("en_US.UTF-8", "de_DE.UTF-8")
    assert got.keyboard == Keyboard(("us", "de (nodeadkeys)"), "us", ("grp:alt_shift_toggle",))
    assert (got.timezone, got.utc) == ("Europe/Berlin", True)
    assert got.root == Password("$6$salt$hash", crypted=True)
    assert got.users == (PlannedUser("ops", Password("x"), 1500, 2000, ("sudo", "adm"), "/srv/ops", "/bin/sh"),)
    assert got.groups == (UserGroup("staff2", 2000),)
    assert got.ssh_keys == (("root", "ssh-ed25519 AAAA ops@example"),)
    assert got.services == ServiceChanges(("ssh",), ("cron",))
    assert got.firewall.enabled is False
    assert got.selinux == "disabled"
    assert [script.chroot for script in got.post] == [False]
    assert got.pre[0].log == "/tmp/pre.log"
    assert got.pre[0].error_on_fail
    assert GOOD.splitlines()[got.pre[0].line - 1].startswith("%pre")


def test_what_is_not_specified_is_left_alone() -> None:
    got = made(SMALL)
    assert got.payload == Liveimg("/run/kickstrap/payload")
    assert got.root is None
    assert got.firewall.enabled is None
    assert got.selinux == ""
    assert (got.hostname, got.timezone, got.languages, got.keyboard) == ("", "", (), Keyboard())
    assert got.bootloader == Bootloader("", None, True)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("keyboard us", Keyboard(("us",))),
        ("keyboard --vckeymap=de-nodeadkeys", Keyboard(("de-nodeadkeys",), "de-nodeadkeys")),
        ("keyboard --xlayouts=fr", Keyboard(("fr",))),
        # names of console keymaps, which are no layouts
        ("keyboard uk", Keyboard(("gb",))),
        ("keyboard --vckeymap=de-latin1-nodeadkeys", Keyboard(("de (nodeadkeys)",), "de-latin1-nodeadkeys")),
    ],
)
def test_ways_to_specify_the_keyboard(line: str, expected: Keyboard) -> None:
    assert made(f"{SMALL}{line}\n").keyboard == expected


def test_the_last_host_name_counts() -> None:
    text = SMALL + "network --hostname=a\nnetwork --device=eth0 --bootproto=dhcp --hostname=b\n"
    assert made(text).hostname == "b"
    assert made(text).interfaces == (Interface("eth0"),)


@pytest.mark.parametrize("line", ["poweroff", "shutdown", "halt", "reboot"])
def test_every_final_command_is_accepted(line: str) -> None:
    assert made(f"{SMALL}{line}\n") == made(SMALL)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense\n", "the kickstart cannot be read: .*Unknown command: nonsense"),
        ("lang\n", "the kickstart cannot be read"),
        ("lang 'C\n", "the kickstart cannot be read"),
        (
            SMALL + "network --device=eth0 --essid=x\n",
            "kickstart line 4: network: --essid is not supported by kickstrap",
        ),
    ],
)
def test_errors_that_the_vm_also_reports(text: str, message: str) -> None:
    with pytest.raises(InstallError, match=message):
        kickstart.read(text)


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("http://mirror.example/debian trixie", AptSource("http://mirror.example/debian", "trixie")),
        (
            "https://mirror.example/debian/ trixie main contrib",
            AptSource("https://mirror.example/debian", "trixie", ("main", "contrib")),
        ),
        ("http://mirror.example/debian/dists/trixie", AptSource("http://mirror.example/debian", "trixie")),
        (
            "http://mirror.example/debian-security/dists/trixie-security/",
            AptSource("http://mirror.example/debian-security", "trixie-security"),
        ),
    ],
)
def test_sources(text: str, source: AptSource) -> None:
    assert sources.parse(text) == source
    assert sources.parse(str(source).removeprefix("deb ")) == source


@pytest.mark.parametrize("text", ["http://mirror.example/debian", "trixie main", "http://m.example/d ;reboot", "x"])
def test_an_invalid_source(text: str) -> None:
    with pytest.raises(ValueError, match=r"suite|address|component"):
        sources.parse(text)
