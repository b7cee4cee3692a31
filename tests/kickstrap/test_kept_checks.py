"""Findings of an earlier kickstart are used only for one whose commands are the same."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from imagebuild.kickstart import kept_lines, neighbours
from imagebuild.kickstart.parse import parse
from imagebuild.kickstrap import kept_checks
from imagebuild.kickstrap.agent.machine import TargetMachine
from imagebuild.kickstrap.agent.supported import Unsupported, check
from imagebuild.kickstrap.agent.values import CHECKS

WHOLE = """\
lang C.UTF-8
keyboard us
timezone UTC
url --url="http://mirror.example.org/debian trixie main"
network --device=eth0 --bootproto=dhcp --hostname=one.example.org
rootpw --lock
user --name=ann
firewall --enabled
bootloader --location=mbr --timeout=1
clearpart --all
part / --fstype=ext4 --size=1024 --grow
poweroff
%packages --nocore
nftables
%end
"""
CHANGES = (
    ("one.example", "two.example"),
    ("one.example", "-one.example"),
    ("C.UTF-8", "de_DE.UTF-8"),
    ("C.UTF-8", "not/a/locale"),
    ("keyboard us", "keyboard u/s"),
    ("timezone UTC", "timezone Not!A/Zone"),
    ("trixie main", "trixie"),
    ("--name=ann", "--name=Ann"),
    ("nftables", "vim"),
    ("--location=mbr", "--location=partition"),
    ("--size=1024", "--size=4096"),
    ("--size=1024", "--size=102400"),
    ("part /", "part /var"),
    ("--fstype=ext4", "--fstype=reiserfs"),
    ("--fstype=ext4", "--fstype=xfs"),
    ("poweroff", "%include /tmp/more"),
)
MACHINES = (None, TargetMachine((8192,)), TargetMachine((2048,)), TargetMachine((8192,), "uefi"))


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    forget()
    yield
    forget()


def forget() -> None:
    for module in (kept_checks, neighbours, kept_lines):
        module.forget()


def found(text: str, machine: TargetMachine | None, *, kept: bool = True) -> list[Unsupported]:
    handler = parse(text, "F43").handler
    return check(handler, text, machine, run=kept_checks.run) if kept else check(handler, text, machine)


@pytest.mark.parametrize("machine", MACHINES)
def test_findings_are_those_of_each_kickstart_alone(machine: TargetMachine | None) -> None:
    texts = [WHOLE, *(WHOLE.replace(*one) for one in CHANGES)]
    alone = []
    for text in texts:
        forget()
        alone.append(found(text, machine, kept=False))
    assert len({tuple(one) for one in alone}) > 8
    forget()
    for _ in range(2):
        assert [found(text, machine) for text in texts] == alone
    assert [found(text, machine) for text in reversed(texts)] == alone[::-1]


def test_machines_are_told_apart() -> None:
    text = WHOLE.replace("--size=1024", "--size=4096")
    assert [bool(found(text, machine)) for machine in MACHINES] == [False, False, True, True]


def test_a_check_is_not_run_again_for_the_same_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def of_users(handler: object, *_: object) -> list[tuple[int, str, None]]:
        ran.append(handler.user.userList[0].name)  # type: ignore[attr-defined]
        return [(1, f"a user {ran[-1]}", None)]

    monkeypatch.setattr("imagebuild.kickstrap.agent.values.CHECKS", (of_users,))
    others = [WHOLE, WHOLE.replace("one.", "two."), WHOLE.replace("ann", "bob"), WHOLE.replace("one.", "three.")]
    assert [found(text, None)[0].message for text in others] == [
        f"a user {name}" for name in ("ann", "ann", "bob", "ann")
    ]
    assert ran == ["ann", "bob"]


def test_what_has_been_kept_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_checks, "MOST", 2)
    for number in range(5):
        found(WHOLE.replace("ann", f"user{number}"), None)
    assert {len(kept) for kept in kept_checks._known.values()} == {2, 1} or len(CHECKS) == 0
