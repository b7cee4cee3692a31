"""The parts of supervision, without a VM: stall detection, the log's tail, the verdict."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagebuild.errors import InstallFailed
from imagebuild.host.hypervisor import Cause, DomainState
from imagebuild.host.stall import Stall, Usage
from imagebuild.host.tail import Tail
from imagebuild.install.console import Console
from imagebuild.install.supervise import _judge


def test_an_idle_vm_is_detected() -> None:
    stall = Stall(limit=60, now=0)
    quiet = Usage(cpu=10.0, traffic=5)
    waits = [stall.waits(at, quiet, spoke=False) for at in (0, 30, 59, 61)]
    assert waits == [False, False, False, True]


def test_the_bursts_of_an_idle_qemu_are_not_a_sign_of_life() -> None:
    """2 % of a processor, sampled four times a second: some samples see a burst."""
    stall = Stall(limit=60, now=0)
    looks = [at / 4 for at in range(4 * 100)]
    waits = [stall.waits(at, Usage(cpu=at // 15 * 0.3, traffic=5), spoke=False) for at in looks]
    assert looks[waits.index(True)] == 60


@pytest.mark.parametrize(
    ("usage", "moved"),
    [(Usage(10.0, 6), False), (Usage(40.0, 5), False), (Usage(10.0, 5), True), (None, False)],
    ids=["traffic", "cpu", "console", "no figures"],
)
def test_any_sign_of_life_keeps_it_alive(usage: Usage | None, moved: bool) -> None:
    stall = Stall(limit=60, now=0)
    stall.waits(0, Usage(10.0, 5), spoke=False)
    assert not stall.waits(50, usage, spoke=moved)
    assert not stall.waits(100, usage, spoke=False)


def test_tail_reads_what_is_new(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    tail = Tail(log)
    assert tail.read() == b""
    log.write_bytes(b"one")
    assert tail.read() == b"one"
    with log.open("ab") as file:
        file.write(b"two")
    assert tail.read() == b"two"
    assert tail.read() == b""


def test_tail_loses_nothing_when_the_log_is_rotated(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    log.write_bytes(b"first ")
    tail = Tail(log)
    tail.read()
    with log.open("ab") as file:
        file.write(b"end of first ")
    log.rename(tmp_path / "console.log.0")
    log.write_bytes(b"second")
    assert tail.read() == b"end of first second"


def said(*lines: str) -> Console:
    console = Console("n0")
    console.feed("".join(f"{line}\n" for line in lines).encode())
    return console


def test_power_off_alone_is_not_success() -> None:
    with pytest.raises(InstallFailed, match="without the success marker") as failure:
        _judge(said("kickstrap: step 3/9 install GRUB"), DomainState("gone", Cause.SHUT_DOWN))
    assert "install GRUB" in failure.value.message
    assert failure.value.console


def test_the_marker_without_a_shutdown_is_not_success() -> None:
    with pytest.raises(InstallFailed, match="crashed"):
        _judge(said("imagebuild-success:n0"), DomainState("gone", Cause.CRASHED))


def test_a_failure_after_the_marker_is_a_failure() -> None:
    with pytest.raises(InstallFailed, match="panicked"):
        _judge(said("imagebuild-success:n0", "Kernel panic - not syncing: x"), DomainState("gone", Cause.SHUT_DOWN))


def test_the_marker_and_a_shutdown_are_success() -> None:
    _judge(said("imagebuild-success:n0"), DomainState("gone", Cause.SHUT_DOWN))
