"""Going back to an earlier version."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagebuild.progress import SILENT_REPORTER
from imagebuild.publish import results, state
from imagebuild.publish.parallel import Work
from imagebuild.publish.results import TargetResult
from imagebuild.publish.rollback import roll_back
from tests.publish.memory_target import MemoryTarget, published, release


@pytest.fixture
def target(tmp_path: Path) -> MemoryTarget:
    """It has three versions, the third is current."""
    made = MemoryTarget("host1")
    for version in "123":
        published(release(tmp_path, version), made)
    made.calls.clear()
    return made


def back(target: MemoryTarget, to: str = "", template: str = "web") -> TargetResult:
    return roll_back(Work(SILENT_REPORTER), [target.place()], template, to)[0]


def test_the_previous_version_is_read_back_and_becomes_current(target: MemoryTarget) -> None:
    done = back(target)
    assert (done.status, done.version, done.previous) == ("switched", "2", "3")
    assert [call for call in target.calls if call != "switched"] == [
        "open", "lock", "state", "digest", "switch", "state", "close",
    ]  # fmt: skip
    assert target.current() == "2"
    assert [one.version for one in state.decoded(target.records["web"], "web").versions] == ["1", "2", "3"]
    assert back(target).version == "3"


def test_a_version_can_be_named(target: MemoryTarget) -> None:
    assert back(target, "1").version == "1"
    done = back(target, "1")
    assert (done.status, done.version, done.previous) == ("unchanged", "1", "1")
    done = back(target, "7")
    assert (done.status, done.message, done.hint) == (
        "failed", "host1 has no version 7 of web", "the newest there are: 1, 2, 3",
    )  # fmt: skip


@pytest.mark.parametrize(("content", "why"), [(b"x", "was altered"), (None, "is missing")])
def test_a_version_that_is_not_what_was_published_does_not_become_current(
    content: bytes | None, why: str, target: MemoryTarget
) -> None:
    name = next(name for name in target.files if "--2--" in name)
    if content is None:
        del target.files[name]
    else:
        target.files[name] = content
    done = back(target)
    assert (done.status, done.phase) == ("failed", "check")
    assert why in done.message
    assert "--repair` with the artifact of 2 sends it again" in done.hint
    assert target.current() == "3"
    assert back(target, "1").status == "switched"


def test_without_an_earlier_version_nothing_changes(tmp_path: Path) -> None:
    target = MemoryTarget("host1")
    published(release(tmp_path, "1"), target)
    done = back(target)
    assert (done.status, done.message) == ("failed", "there is no version of web on host1 before 1")


def test_after_the_previous_version_was_removed_the_others_are_named(target: MemoryTarget) -> None:
    target.records["web"] = state.encoded(state.decoded(target.records["web"], "web").without("2"))
    done = back(target)
    assert done.message == "the previous version of web on host1 was removed, or there was none before 3"
    assert done.hint == "choose one with --to VERSION; the newest others there are: 1"
    assert back(target, "1").status == "switched"


def test_a_target_without_the_template_is_no_failure_unless_all_are(target: MemoryTarget) -> None:
    other = MemoryTarget("host2")
    done = roll_back(Work(SILENT_REPORTER), [target.place(), other.place()], "web")
    assert [one.status for one in done] == ["switched", "absent"]
    assert results.exit_code(done) == 0
    assert results.exit_code(roll_back(Work(SILENT_REPORTER), [other.place()], "web")) == 1
