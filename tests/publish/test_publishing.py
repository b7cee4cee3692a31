"""Publishing to several targets: what is sent, checked and switched, and what a failure leaves."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from imagebuild.cli.report import PlainReporter
from imagebuild.errors import HostError, ImageBuildError
from imagebuild.progress import SILENT_REPORTER
from imagebuild.publish import results, state
from imagebuild.publish.canary import command_check
from imagebuild.publish.parallel import Attempt, Work
from imagebuild.publish.places import TargetPlace
from imagebuild.publish.publishing import Canaries, Publishing
from imagebuild.publish.release import Release
from imagebuild.publish.results import TargetResult
from tests.publish.memory_target import MemoryTarget, publication, published, release


@pytest.fixture
def target() -> MemoryTarget:
    return MemoryTarget("host1")


def go(wanted: Release, *targets: MemoryTarget, verify_stored: bool = True, repair: bool = False) -> list[TargetResult]:
    publishing = Publishing(Work(SILENT_REPORTER), publication(wanted, verify_stored=verify_stored, repair=repair))
    return publishing.go([one.place() for one in targets])


def test_files_are_sent_and_read_back_before_the_switch(target: MemoryTarget, tmp_path: Path) -> None:
    wanted = release(tmp_path, "1", disks=2)
    (done,) = go(wanted, target)
    assert (done.status, done.version, done.previous, done.sent) == ("switched", "1", "", wanted.size)
    calls = [call for call in target.calls if call not in ("send half", "switched")]
    assert calls == ["open", "lock", "state", "send", "digest", "send", "digest", "switch", "state", "close"]
    assert target.files == {one.stored.name: one.path.read_bytes() for one in wanted.files}
    found = state.decoded(target.records["web"], "web")
    assert found.versions[0].files == tuple(one.stored for one in wanted.files)


def test_a_second_version_leaves_the_first_in_place(target: MemoryTarget, tmp_path: Path) -> None:
    go(release(tmp_path, "1"), target)
    (done,) = go(release(tmp_path, "2"), target)
    assert (done.status, done.version, done.previous) == ("switched", "2", "1")
    found = state.decoded(target.records["web"], "web")
    assert [one.version for one in found.versions] == ["1", "2"]
    assert len(target.files) == 2


def test_what_is_current_is_read_back_and_not_sent(target: MemoryTarget, tmp_path: Path) -> None:
    wanted = release(tmp_path, "1")
    go(wanted, target)
    target.calls.clear()
    (done,) = go(wanted, target)
    assert (done.status, done.sent, done.version) == ("unchanged", 0, "1")
    assert target.calls == ["open", "lock", "state", "digest", "close"]
    target.calls.clear()
    assert go(wanted, target, verify_stored=False)[0].status == "unchanged"
    assert target.calls == ["open", "lock", "state", "stored", "close"]


def test_a_file_that_is_missing_is_sent_again(target: MemoryTarget, tmp_path: Path) -> None:
    wanted = release(tmp_path, "1")
    for verify in (True, False):
        go(wanted, target)
        target.files.clear()
        (done,) = go(wanted, target, verify_stored=verify)
        assert (done.status, done.sent, done.message) == (
            "unchanged", wanted.size, "what was missing or altered was sent again",
        )  # fmt: skip
        assert len(target.files) == 1


def test_an_altered_file_is_reported_and_repaired_on_request_only(target: MemoryTarget, tmp_path: Path) -> None:
    wanted = release(tmp_path, "1")
    go(wanted, target)
    name = wanted.files[0].stored.name
    right = target.files[name]
    target.files[name] = right[::-1]
    (done,) = go(wanted, target)
    assert (done.status, done.phase) == ("failed", "check")
    assert "was altered on host1" in done.message
    assert target.files[name] == right[::-1]
    target.hooks["repair"] = lambda: None
    target.users[name] = "vm1"
    (done,) = go(wanted, target, repair=True)
    assert done.status == "failed"
    assert "vm1 uses it" in done.message
    assert "stopping is not enough: delete the machines" in done.hint
    target.users[name] = "perhaps something in the pool x, which is not active"
    (done,) = go(wanted, target, repair=True)
    assert "make it possible to look there" in done.hint
    target.users.clear()
    assert go(wanted, target, repair=True)[0].status == "unchanged"
    assert target.files[name] == right


def test_a_version_never_changes(target: MemoryTarget, tmp_path: Path) -> None:
    go(release(tmp_path, "1"), target)
    target.calls.clear()
    (done,) = go(release(tmp_path, "1", content="other"), target)
    assert done.status == "failed"
    assert "version 1 of web is on host1 with other bytes" in done.message
    assert "send" not in target.calls
    assert target.current() == "1"


def test_a_version_that_is_there_becomes_current_without_sending(target: MemoryTarget, tmp_path: Path) -> None:
    first = release(tmp_path, "1")
    published(first, target)
    published(release(tmp_path, "2"), target)
    (done,) = go(first, target)
    assert (done.status, done.version, done.previous, done.sent) == ("switched", "1", "2", 0)
    assert [one.version for one in state.decoded(target.records["web"], "web").versions] == ["1", "2"]


def test_a_leftover_with_other_bytes_is_replaced_unless_it_is_used(target: MemoryTarget, tmp_path: Path) -> None:
    wanted = release(tmp_path, "1")
    stored = wanted.files[0].stored
    target.files[stored.name] = bytes(stored.size)
    target.users[stored.name] = "vm1"
    (done,) = go(wanted, target)
    assert "has other bytes on host1, and vm1 uses it" in done.message
    assert target.files[stored.name] == bytes(stored.size)
    target.users.clear()
    (done,) = go(wanted, target)
    assert (done.status, done.sent) == ("switched", stored.size)


def test_a_target_that_stores_other_bytes_is_never_switched(target: MemoryTarget, tmp_path: Path) -> None:
    target.corrupts = 1
    assert go(release(tmp_path, "1"), target)[0].status == "switched"
    target.corrupts = 2
    (done,) = go(release(tmp_path, "2"), target)
    assert (done.status, done.phase) == ("failed", "check")
    assert "sent twice to host1" in done.message
    assert target.current() == "1"
    assert len(target.files) == 1


@pytest.mark.parametrize(
    ("call", "phase"),
    [("open", "open"), ("lock", "lock"), ("state", "read"), ("send", "send"), ("send half", "send"),
     ("digest", "check"), ("switch", "switch")],
)  # fmt: skip
def test_a_failure_leaves_the_old_version_and_stops_no_other_target(call: str, phase: str, tmp_path: Path) -> None:
    targets = [MemoryTarget(f"host{number}") for number in range(5)]
    published(release(tmp_path, "1"), *targets)
    targets[2].failing(call)
    wanted = release(tmp_path, "2")
    done = go(wanted, *targets)
    assert [one.status for one in done] == ["switched", "switched", "failed", "switched", "switched"]
    assert (done[2].phase, done[2].message, done[2].version) == (
        phase, f"host2 does not answer: {call}", "" if call in ("open", "lock", "state") else "1",
    )  # fmt: skip
    assert done[2].sent == (
        wanted.size // 2 if call == "send half" else wanted.size if phase in ("check", "switch") else 0
    )
    assert [one.current() for one in targets] == ["2", "2", "1", "2", "2"]
    assert results.exit_code(done) == 1
    targets[2].hooks.clear()
    again = go(wanted, *targets)
    assert [one.status for one in again] == ["unchanged", "unchanged", "switched", "unchanged", "unchanged"]
    assert not any(one.sent for one in again if one.target != "host2")
    assert results.exit_code(again) == 0


def test_nowhere_to_publish_is_a_host_error(tmp_path: Path) -> None:
    targets = [MemoryTarget("a"), MemoryTarget("b")]
    for one in targets:
        one.failing("open")
    assert results.exit_code(go(release(tmp_path, "1"), *targets)) == 3


def test_a_defect_at_one_target_is_reported_like_a_failure(tmp_path: Path) -> None:
    targets = [MemoryTarget("a"), MemoryTarget("b")]
    targets[0].hooks["send"] = lambda: [][1]
    targets[1].hooks["state"] = lambda: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    done = go(release(tmp_path, "1"), *targets)
    assert [one.message for one in done] == ["unexpected IndexError: list index out of range", "no space left"]


def test_an_error_after_the_switch_is_none_if_the_record_is_there(target: MemoryTarget, tmp_path: Path) -> None:
    target.failing("switched", "connection lost")
    (done,) = go(release(tmp_path, "1"), target)
    assert done.status == "switched"

    def lose() -> None:
        target.failing("state", "connection lost")
        raise ImageBuildError("the answer was lost")

    target.hooks["switched"] = lose
    (done,) = go(release(tmp_path, "2"), target)
    assert (done.status, done.exit_code) == ("failed", 3)
    assert "the answer was lost; it is not known which version of web is current" in done.message


def test_a_record_that_is_not_kept_is_reported(target: MemoryTarget, tmp_path: Path) -> None:
    target.hooks["switched"] = lambda: target.records.clear()
    (done,) = go(release(tmp_path, "1"), target)
    assert "has another one" in done.message


def test_a_record_that_nobody_could_read_is_not_written(target: MemoryTarget, tmp_path: Path) -> None:
    wanted = release(tmp_path, "1")
    large = replace(publication(wanted), version=wanted.published("<domain>" + " " * 70_000))
    (done,) = Publishing(Work(SILENT_REPORTER), large).go([target.place()])
    assert "a definition in it is too large" in done.message
    assert target.records == {}


def interrupt_in(target: MemoryTarget, call: str, work: Work, after: threading.Event | None = None) -> None:
    """Interrupt the command when the target's method is called, and ``after`` is set."""

    def hook() -> None:
        target.hooks.clear()
        assert after is None or after.wait(20)
        os.kill(os.getpid(), signal.SIGINT)
        assert work.stop.wait(20)

    target.hooks[call] = hook


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("call", ["lock", "state", "send", "send half", "digest"])
def test_nothing_is_switched_after_an_interruption(call: str, tmp_path: Path) -> None:
    targets = [MemoryTarget(f"host{number}") for number in range(4)]
    work = Work(SILENT_REPORTER, jobs=2)
    other = threading.Event()
    interrupt_in(targets[0], call, work, other)

    def wait_for_it() -> None:
        other.set()
        work.stop.wait(20)

    targets[1].hooks["lock"] = wait_for_it
    done = Publishing(work, publication(release(tmp_path, "1"))).go([one.place() for one in targets])
    assert work.interrupted
    assert [one.status for one in done] == ["interrupted", "interrupted", "not started", "not started"]
    assert all(one.records == {} for one in targets)
    assert all("switch" not in one.calls for one in targets)


def test_what_an_interruption_made_fail_is_interrupted_in_its_step_too(target: MemoryTarget) -> None:
    log = list[str]()
    work = Work(PlainReporter(log.append))

    def one(_place: TargetPlace, attempt: Attempt) -> TargetResult:
        attempt.enter("open", "connecting")
        work.stop.set()
        raise HostError("the connection was ended")

    (done,) = work.each([target.place()], "publish", TargetResult, one)
    assert (done.status, done.message, done.exit_code) == ("interrupted", "interrupted", 130)
    assert log[-1].endswith("interrupted at: connecting")


@pytest.mark.usefixtures("interruptible")
def test_a_switch_that_has_begun_is_reported_as_done(target: MemoryTarget, tmp_path: Path) -> None:
    work = Work(SILENT_REPORTER)
    interrupt_in(target, "switch", work)
    done = Publishing(work, publication(release(tmp_path, "1"))).go([target.place()])
    assert work.interrupted
    assert [one.status for one in done] == ["switched"]
    assert target.current() == "1"


def test_no_more_targets_are_worked_on_than_allowed(tmp_path: Path) -> None:
    lock = threading.Lock()
    running: list[int] = [0, 0]

    def begin(by: int) -> Callable[[], None]:
        def hook() -> None:
            with lock:
                running[0] += by
                running[1] = max(running)

        return hook

    targets = [MemoryTarget(f"host{number}") for number in range(9)]
    for one in targets:
        one.hooks = {"open": begin(1), "switched": begin(-1)}
    done = Publishing(Work(SILENT_REPORTER, jobs=3), publication(release(tmp_path, "1"))).go(
        [one.place() for one in targets]
    )
    assert all(one.good for one in done)
    assert running[1] <= 3


class CanaryRun:
    """Publishes version 2 to two canaries and three others, all of which have version 1."""

    def __init__(self, folder: Path) -> None:
        self.targets = [MemoryTarget(f"host{number}") for number in range(5)]
        published(release(folder, "0"), *self.targets)
        published(release(folder, "1"), *self.targets)
        self.wanted = release(folder, "2")
        self.work = Work(SILENT_REPORTER)
        self.checked: list[str] = []
        self.bad: set[str] = set()

    def check(self, place: TargetPlace, wanted: Release) -> None:
        self.checked.append(place.name)
        assert wanted == self.wanted
        assert [one.current() for one in self.targets] == ["2", "2", "1", "1", "1"]
        if place.name in self.bad:
            raise ImageBuildError("it is not good")

    def go(self, *, keep_failed: bool = False) -> list[TargetResult]:
        places = [one.place() for one in self.targets]
        canaries = Canaries(places[:2], self.check, keep_failed)
        return Publishing(self.work, publication(self.wanted)).go(places, canaries)

    @property
    def current(self) -> str:
        return "".join(one.current() for one in self.targets)


@pytest.fixture
def run(tmp_path: Path) -> CanaryRun:
    return CanaryRun(tmp_path)


def test_the_others_follow_good_canaries(run: CanaryRun) -> None:
    done = run.go()
    assert [one.target for one in done] == [f"host{number}" for number in range(5)]
    assert {one.status for one in done} == {"switched"}
    assert sorted(run.checked) == ["host0", "host1"]
    assert run.current == "22222"


def test_canaries_go_back_if_one_is_not_good(run: CanaryRun) -> None:
    before = [one.records["web"] for one in run.targets]
    run.bad = {"host1"}
    done = run.go()
    assert [one.status for one in done] == ["rolled back", "rolled back", "not started", "not started", "not started"]
    assert [one.message for one in done[:3]] == ["another canary is not good", "it is not good", "a canary is not good"]
    assert [(one.version, one.previous) for one in done[:2]] == [("1", "2"), ("1", "2")]
    assert results.exit_code(done) == 1
    assert run.current == "11111"
    for number, one in enumerate(run.targets):
        old, now = state.decoded(before[number], "web"), state.decoded(one.records["web"], "web")
        assert (now.current, now.previous) == (old.current, old.previous) == ("1", "0")
    assert all("send" not in one.calls[-6:] for one in run.targets[2:])


def test_failed_canaries_stay_on_request(run: CanaryRun) -> None:
    run.bad = {"host1"}
    done = run.go(keep_failed=True)
    assert [one.status for one in done] == ["switched", "failed", "not started", "not started", "not started"]
    assert (done[1].phase, done[1].message, done[1].version) == ("canary check", "it is not good", "2")
    assert run.current == "22111"


def test_a_canary_that_cannot_be_published_to_is_not_good(run: CanaryRun) -> None:
    run.targets[0].failing("send")
    done = run.go()
    assert [one.status for one in done] == ["failed", "rolled back", "not started", "not started", "not started"]
    assert run.checked == []
    assert run.current == "11111"


def test_a_canary_that_was_current_before_stays(run: CanaryRun) -> None:
    published(run.wanted, run.targets[0])
    run.bad = {"host0"}
    done = run.go()
    assert [one.status for one in done[:2]] == ["failed", "rolled back"]
    assert run.current == "21111"


def test_a_canary_that_cannot_go_back_is_reported(run: CanaryRun) -> None:
    run.bad = {"host0"}
    fresh = run.targets[1]
    fresh.files.clear()
    fresh.records.clear()
    spoilt = run.targets[0]
    spoilt.hooks["switched"] = lambda: spoilt.files.update({name: b"x" for name in spoilt.files if "--1--" in name})
    done = run.go()
    assert done[0].message.startswith("it is not good; web--1--")
    assert "was altered" in done[0].message
    assert done[1].message == "another canary is not good; it stays current, because host1 had no version before"
    assert [one.status for one in done[:2]] == ["failed", "failed"]
    assert {one.phase for one in done[:2]} == {"roll back"}
    assert run.current == "22111"


def test_a_canary_that_somebody_switched_in_between_stays(run: CanaryRun, tmp_path: Path) -> None:
    run.bad = {"host0"}
    other = release(tmp_path, "3")
    old_check = run.check

    def check(place: TargetPlace, wanted: Release) -> None:
        try:
            old_check(place, wanted)
        finally:
            if place.name == "host0":
                run.targets[1].hooks["open"] = lambda: run.targets[1].hooks.clear() or _set(run.targets[1], other)

    run.check = check  # type: ignore[method-assign]
    done = run.go()
    assert "3 is current on host1 now, so it was not rolled back" in done[1].message


def _set(target: MemoryTarget, wanted: Release) -> None:
    target.records["web"] = state.encoded(
        state.decoded(target.records["web"], "web").with_version(publication(wanted).version)
    )


@pytest.mark.parametrize(
    ("command", "timeout", "message"),
    [
        ('test "$IMAGEBUILD_HOST $IMAGEBUILD_URI" = "host1 memory:host1"', 60, ""),
        ('test "$IMAGEBUILD_TEMPLATE $IMAGEBUILD_VERSION" = "web 1"', 60, ""),
        ("echo no login >&2; exit 3", 60, "the check of the canary ended with exit status 3: no login"),
        ("sleep 60", 0.1, "the check of the canary did not end within 0 s"),
    ],
)  # fmt: skip
def test_a_command_checks_a_canary(
    command: str, timeout: float, message: str, target: MemoryTarget, tmp_path: Path
) -> None:
    place = target.place()
    publishing = Publishing(Work(SILENT_REPORTER), publication(release(tmp_path, "1")))
    (done,) = publishing.go([place], Canaries([place], command_check(command, timeout), keep_failed=True))
    assert done.message == message
    assert done.good == (not message)


@pytest.mark.usefixtures("interruptible")
def test_an_interruption_ends_the_check(target: MemoryTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagebuild.publish.parallel._PATIENCE", 0.1)
    place = target.place()
    work = Work(SILENT_REPORTER)
    command = command_check(f"kill -INT {os.getpid()}; sleep 600", 600)
    done = Publishing(work, publication(release(tmp_path, "1"))).go(
        [place, MemoryTarget("b").place()], Canaries([place], command)
    )
    assert [one.status for one in done] == ["interrupted", "not started"]
    assert (done[0].version, done[0].phase, target.current()) == ("1", "canary check", "1")


@pytest.mark.usefixtures("interruptible")
def test_a_target_that_hangs_does_not_hold_up_the_end(
    target: MemoryTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imagebuild.publish.parallel._GIVE_UP", 0.3)
    monkeypatch.setattr("imagebuild.publish.parallel._PATIENCE", 0.1)
    release_it = threading.Event()
    work = Work(SILENT_REPORTER)

    def hang() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        release_it.wait(60)

    target.hooks["send"] = hang
    try:
        (done,) = Publishing(work, publication(release(tmp_path, "1"))).go([target.place()])
    finally:
        release_it.set()
    assert (done.status, done.phase) == ("interrupted", "send")
    assert "did not end after the interruption" in done.message
    thread = next((one for one in threading.enumerate() if one.name == "publish-0"), None)
    if thread is not None:
        thread.join(60)
    assert target.records == {}
