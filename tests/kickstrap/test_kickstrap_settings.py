"""Time sources, GRUB's password, names of services and install sources of foreign kickstarts."""

from __future__ import annotations

import hashlib
import re
import stat
from pathlib import Path

import pytest

from imagebuild.kickstrap.agent import grub_password, kickstart, ntp, plan, supported
from imagebuild.kickstrap.agent.command import CommandRunner
from imagebuild.kickstrap.agent.identity import RANDOM, DiskIdentity
from imagebuild.kickstrap.agent.ntp import TimeSource, TimeSources
from imagebuild.kickstrap.agent.plan import Liveimg, Packages, Password
from imagebuild.kickstrap.agent.services import ServiceChanges
from imagebuild.kickstrap.agent.target import Target

BASE = "clearpart --all\npart / --size=100\n"
HEAD = BASE + "liveimg --url=file:///run/kickstrap/payload\n"
GRUB_HASH = f"grub.pbkdf2.sha512.10000.{'AB' * 64}.{'0F' * 64}"


@pytest.fixture
def logged() -> list[str]:
    return []


@pytest.fixture
def target(tmp_path: Path, logged: list[str]) -> Target:
    return Target(tmp_path, CommandRunner(logged.append, tmp_path))


def made(*lines: str) -> plan.InstallPlan:
    return plan.make(kickstart.read(HEAD + "".join(f"{line}\n" for line in lines)))


def findings(text: str) -> list[tuple[int, str, str]]:
    return [(one.line, one.message, one.severity) for one in supported.check(kickstart.parse(text), text)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("timezone Europe/Berlin --isUtc", TimeSources()),
        ("timezone Europe/Berlin --nontp", TimeSources(disabled=True)),
        ("timezone Europe/Berlin --ntpservers=a.example,b.example",
            TimeSources((TimeSource("a.example"), TimeSource("b.example")))),
        ("timesource --ntp-pool=p.example\ntimesource --ntp-server=a.example --nts",
            TimeSources((TimeSource("p.example", pool=True), TimeSource("a.example", nts=True)))),
        ("timesource --ntp-disable", TimeSources(disabled=True)),
    ],
)  # fmt: skip
def test_time_sources(line: str, expected: TimeSources) -> None:
    assert made(line).times == expected


def test_time_sources_replace_the_guests_own(target: Target, logged: list[str]) -> None:
    times = TimeSources((TimeSource("p.example", pool=True), TimeSource("a.example", nts=True)))
    assert ntp.configure(target, times) == ServiceChanges()
    assert logged == ["the time sources have no effect: the target has neither chrony nor systemd-timesyncd"]
    target.write("/usr/lib/systemd/systemd-timesyncd", "")
    ntp.configure(target, times)
    assert target.read("/etc/systemd/timesyncd.conf.d/kickstart.conf") == "[Time]\nNTP=p.example a.example\n"
    target.write("/etc/chrony/chrony.conf", "pool 2.debian.pool.ntp.org iburst\nmakestep 1 3\n")
    ntp.configure(target, times)
    assert target.read("/etc/chrony/chrony.conf") == (
        "# pool 2.debian.pool.ntp.org iburst\nmakestep 1 3\npool p.example iburst\nserver a.example iburst nts\n"
    )
    assert "chrony" in ntp.configure(target, TimeSources(disabled=True)).disabled


def test_a_password_of_grub(target: Target) -> None:
    target.write("/etc/grub.d/10_linux", '#!/bin/sh\nCLASS="--class gnu-linux --class os"\nCLASS="$CLASS x"\n')
    grub_password.set_password(target, Password(GRUB_HASH, crypted=True), RANDOM)
    text = target.read("/etc/grub.d/01_password")
    assert text.splitlines()[2:] == ['set superusers="root"', f"password_pbkdf2 root {GRUB_HASH}"]
    assert stat.S_IMODE(target.path("/etc/grub.d/01_password").stat().st_mode) == 0o700
    menu = '#!/bin/sh\nCLASS="--class gnu-linux --class os --unrestricted"\nCLASS="$CLASS x"\n'
    assert target.read("/etc/grub.d/10_linux") == menu
    grub_password.set_password(target, Password("secret"), DiskIdentity("ab" * 32))
    assert target.read("/etc/grub.d/10_linux") == menu
    found = target.read("/etc/grub.d/01_password").split()[-1]
    assert grub_password.HASH.fullmatch(found)
    salt, key = (bytes.fromhex(part) for part in found.split(".")[-2:])
    assert hashlib.pbkdf2_hmac("sha512", b"secret", salt, 10000, 64) == key
    grub_password.set_password(target, Password("secret"), DiskIdentity("ab" * 32))
    assert target.read("/etc/grub.d/01_password").split()[-1] == found


def test_a_hash_that_grub_does_not_read_is_an_error() -> None:
    found = findings(HEAD + "bootloader --iscrypted --password=$6$salt$hash\n")
    assert found == [(4, "bootloader: --password is not a hash that GRUB 2 reads", "error")]
    assert made(f"bootloader --iscrypted --password={GRUB_HASH}").bootloader.password == Password(GRUB_HASH, True)


def test_without_a_boot_loader() -> None:
    for line in ("bootloader --disabled", "bootloader --location=none"):
        assert made(line).bootloader.install is False
        assert made(line).storage.boots is False
    assert made("bootloader").bootloader.install is True


def test_services_by_debians_names() -> None:
    expected = ServiceChanges(("ssh", "chrony"), ("cron", "postfix"))
    assert made("services --enabled=sshd,chronyd.service --disabled=crond,postfix").services == expected


def test_root_may_log_in_by_ssh_if_the_kickstart_says_so() -> None:
    assert made("rootpw --plaintext --allow-ssh x").root_ssh is True
    assert made("rootpw --lock").root_ssh is False


def test_sources_of_rpm_packages_have_no_effect() -> None:
    text = HEAD + "cdrom\nrepo --name=epel --mirrorlist=http://mirrors.example/?repo=epel\n"
    assert [(line, severity) for line, _, severity in findings(text)] == [
        (4, "warning"),
        (5, "warning"),
        (5, "warning"),
    ]
    assert isinstance(plan.make(kickstart.read(text)).payload, Liveimg)
    debian = BASE + "url --url='http://mirror.example/debian trixie'\nrepo --name=a --baseurl=http://a.example/os/\n"
    assert findings(debian) == [
        (4, "repo has no effect: 'http://a.example/os/' is not a package source of Debian", "warning")
    ]
    found = plan.make(kickstart.read(debian)).payload
    assert isinstance(found, Packages)
    assert len(found.sources) == 1
    ((line, message, severity),) = findings(BASE + "url --url=http://a.example/os/\n")
    assert (line, severity) == (3, "error")
    assert re.search("has no suite", message)


def test_scripts_before_the_packages() -> None:
    script = "%pre-install\ntrue\n%end\n%onerror\ntrue\n%end\n"
    got = plan.make(kickstart.read(HEAD + script))
    assert [one.body for one in got.pre_install] == ["true\n"]
    assert (got.pre, got.post) == ((), ())


@pytest.mark.parametrize(
    ("lines", "message", "severity"),
    [
        ("selinux --enforcing\n%packages\ntar\n%end", "selinux has no effect", "warning"),
        ("selinux --enforcing\n%packages\nselinux-policy-targeted\n%end", "", ""),
        ("firewall --ssh\n%packages --nocore\ntar\n%end", "firewall needs the package nftables in the guest", "error"),
        ("firewall --ssh\n%packages --nocore\nnftables\n%end", "", ""),
        ("firewall --ssh\n%packages\ntar\n%end", "", ""),
    ],
)
def test_packages_that_a_command_needs(lines: str, message: str, severity: str) -> None:
    found = [(one[1], one[2]) for one in findings(BASE + "url --url='http://a.example/debian trixie'\n" + lines + "\n")]
    assert all(one[0].startswith(message) and one[1] == severity for one in found)
    assert bool(found) is bool(message)
