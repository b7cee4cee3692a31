"""A verification whose guest does not boot, or runs no commands, is a result and not an error."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from imagebuild.errors import BootFailed, BootStalled, EmulatorFault, GuestError, HostError
from imagebuild.verify import registry, verifying
from imagebuild.verify.check import CheckResult
from imagebuild.verify.subject import Subject
from imagebuild.verify.verification import BOOT, Verification
from imagebuild.verify.verifying import Setting


class Silent:
    def update(self, _text: str) -> None:
        pass


def verified(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *outcomes: Any, accelerator: Any = "tcg", agent: bool = False
) -> Verification:
    """The result where booting ends like this, one attempt after the other; all are used up."""
    left = list(outcomes)

    def booted(*_: Any, serial: bool) -> verifying._Done:
        outcome = left.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return verifying._Done([CheckResult(BOOT, "passed"), CheckResult("a", "passed", reason=str(serial))], 5.0)

    monkeypatch.setattr(verifying, "_booted", booted)
    monkeypatch.setattr("imagebuild.verify.clone_disks.check_room", lambda _: None)
    subject = Subject("small", (), ET.Element("domain"), [registry.call("sshd")], agent=agent, notes=("a note",))
    hypervisor: Any = None
    setting = Setting(hypervisor, accelerator, tmp_path, tmp_path, "n", "d", 5.0)
    progress: Any = Silent()
    done = verifying.verify(subject, setting, progress)
    assert left == []
    return done


GOOD = object()
PANIC = BootFailed("the kernel panicked: x", console=("last", "lines"))
STALLED = BootStalled("the guest has been idle for 90 s", console=())
FAULT = EmulatorFault("the kernel panicked: IO-APIC + timer doesn't work!")
NO_SHELL = GuestError("no guest agent answers")


def test_a_guest_that_boots(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    done = verified(monkeypatch, tmp_path, GOOD)
    assert (done.verdict, done.seconds_to_login, done.replaced) == ("passed", 5.0, ("a note",))
    assert [one.name for one in done.results] == [BOOT, "a"]


@pytest.mark.parametrize(
    ("outcomes", "problem"),
    [
        ([PANIC], PANIC.message),
        ([STALLED, STALLED], STALLED.message),
        ([STALLED, PANIC], PANIC.message),
        ([STALLED, NO_SHELL], NO_SHELL.message),
        ([NO_SHELL], NO_SHELL.message),
    ],
)
def test_a_guest_that_does_not_boot(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, outcomes: list[Any], problem: str
) -> None:
    done = verified(monkeypatch, tmp_path, *outcomes)
    boot, other = done.results
    assert (boot.name, boot.status, boot.problems) == (BOOT, "failed", (problem,))
    assert (other.name, other.status, other.reason) == ("sshd", "not checkable", "the guest did not boot")
    assert done.console == (("last", "lines") if problem == PANIC.message else ())
    assert done.seconds_to_login is None


def test_an_emulated_guest_that_hangs_is_started_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert verified(monkeypatch, tmp_path, STALLED, GOOD).verdict == "passed"
    assert verified(monkeypatch, tmp_path, STALLED, accelerator="kvm").verdict == "failed"


def test_a_fault_of_the_emulator_says_nothing_about_the_image(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert verified(monkeypatch, tmp_path, FAULT, FAULT, GOOD).verdict == "passed"
    assert verified(monkeypatch, tmp_path, STALLED, FAULT, GOOD).verdict == "passed"
    with pytest.raises(HostError, match="failed to boot 3 times: the kernel panicked"):
        verified(monkeypatch, tmp_path, FAULT, FAULT, FAULT)


def test_without_a_usable_agent_there_is_a_shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert verified(monkeypatch, tmp_path, GOOD, agent=True).results[1].reason == "False"
    assert verified(monkeypatch, tmp_path, NO_SHELL, GOOD, agent=True).results[1].reason == "True"
    assert verified(monkeypatch, tmp_path, NO_SHELL, NO_SHELL, agent=True).results[0].status == "failed"
    assert verified(monkeypatch, tmp_path, PANIC, agent=True).results[0].status == "failed"


def test_a_failure_of_the_host_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(HostError, match="no space"):
        verified(monkeypatch, tmp_path, HostError("no space"))
