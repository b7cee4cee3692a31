"""Which versions go, in which order, and what is never removed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagebuild.progress import SILENT_REPORTER
from imagebuild.publish import state
from imagebuild.publish.parallel import Work
from imagebuild.publish.pruning import PruneResult, choice, prune
from imagebuild.publish.state import Published, StoredFile, TemplateState
from tests.publish.memory_target import MemoryTarget, published, release


@pytest.fixture
def target(tmp_path: Path) -> MemoryTarget:
    """It has versions 1 to 5 of `web` with two disks, 5 is current, and one version of `db`."""
    made = MemoryTarget("host1")
    for version in "12345":
        published(release(tmp_path, version, disks=2), made)
    published(release(tmp_path, "1", template="db"), made)
    made.calls.clear()
    return made


def pruned(target: MemoryTarget, keep: int, *templates: str, dry_run: bool = False) -> PruneResult:
    return prune(Work(SILENT_REPORTER), [target.place()], templates, keep, dry_run=dry_run)[0]


def versions(target: MemoryTarget) -> str:
    there = "".join(one.version for one in state.decoded(target.records["web"], "web").versions)
    named = {name.split("--")[1] for name in target.files if name.startswith("web")}
    assert set(there) == named
    return there


def removed(done: PruneResult) -> list[str]:
    return [one.version for one in done.removed]


def test_the_newest_versions_stay(target: MemoryTarget) -> None:
    done = pruned(target, 2)
    assert (done.status, removed(done), versions(target)) == ("pruned", ["1", "2", "3"], "45")
    assert done.freed == sum(one.size for one in done.removed) > 0
    assert [len(one.files) for one in done.removed] == [2, 2, 2]
    assert len(target.files) == 5
    again = pruned(target, 2)
    assert (again.status, again.removed) == ("unchanged", ())


def test_the_record_loses_a_version_before_its_files_go(target: MemoryTarget) -> None:
    pruned(target, 4)
    calls = target.calls
    assert calls.index("lock") < calls.index("switch") < calls.index("remove")
    target.failing("remove")
    done = pruned(target, 3)
    assert done.status == "failed"
    assert "".join(one.version for one in state.decoded(target.records["web"], "web").versions) == "345"
    target.hooks.clear()
    assert [one.files for one in pruned(target, 3).removed]
    assert versions(target) == "345"


def test_a_dry_run_changes_nothing(target: MemoryTarget) -> None:
    files, records = dict(target.files), dict(target.records)
    plan = pruned(target, 1, dry_run=True)
    assert (plan.status, removed(plan)) == ("planned", ["1", "2", "3", "4"])
    assert (target.files, target.records) == (files, records)
    assert not {"lock", "switch", "remove"} & set(target.calls)
    assert removed(pruned(target, 1)) == removed(plan)


def test_current_and_previous_stay(target: MemoryTarget) -> None:
    now = state.decoded(target.records["web"], "web").switched("2").switched("1")
    target.records["web"] = state.encoded(now)
    done = pruned(target, 2)
    assert [(one.version, one.why) for one in done.kept] == [("1", "current"), ("2", "previous")]
    assert versions(target) == "1245"
    done = pruned(target, 1)
    assert [(one.version, one.why) for one in done.kept] == [("1", "current")]
    assert versions(target) == "15"
    assert state.decoded(target.records["web"], "web").previous == ""


def test_what_is_used_stays(target: MemoryTarget) -> None:
    name = next(name for name in target.files if name.startswith("web-disk2--2--"))
    target.users[name] = "the domain vm1"
    done = pruned(target, 2)
    assert [(one.version, one.why) for one in done.kept] == [("2", "used by the domain vm1")]
    assert versions(target) == "245"
    target.users.clear()
    assert removed(pruned(target, 2)) == ["2"]


def test_what_is_used_since_a_moment_ago_stays_as_a_leftover(target: MemoryTarget) -> None:
    name = next(name for name in target.files if name.startswith("web--1--"))
    target.hooks["switched"] = lambda: target.users.update({name: "the domain vm1"})
    done = pruned(target, 4)
    assert name in target.files
    assert [one.why for one in done.kept] == [f"{name} is used by the domain vm1"]
    target.users.clear()
    assert [one.files for one in pruned(target, 4).removed] == [(name,)]


def test_only_named_templates_are_pruned(target: MemoryTarget, tmp_path: Path) -> None:
    published(release(tmp_path, "2", template="db"), target)
    left = f"web--9--{'a' * 16}.qcow2"
    other = f"db--9--{'a' * 16}.qcow2"
    target.files |= {left: b"x", other: b"x"}
    done = pruned(target, 1, "db")
    assert [(one.template, one.version, one.files) for one in done.removed][-1] == ("db", "", (other,))
    assert removed(done) == ["1", ""]
    assert left in target.files
    assert pruned(target, 1, "mail").status == "absent"


def test_leftovers_go_unless_they_are_used(target: MemoryTarget) -> None:
    names = [f"{disk}--9--{'a' * 16}.qcow2" for disk in ("web", "web-disk2", "gone")]
    target.files |= dict.fromkeys(names, b"part")
    target.users[names[2]] = "the volume x"
    plan = pruned(target, 9, dry_run=True)
    done = pruned(target, 9)
    assert plan.removed == done.removed
    assert {file for one in done.removed for file in one.files} == {*names[:2]}
    assert [(one.template, one.why) for one in done.kept] == [("gone", f"{names[2]} is used by the volume x")]
    assert names[2] in target.files


def test_nothing_is_removed_where_a_record_cannot_be_read(target: MemoryTarget) -> None:
    target.records["db"] = "{}"
    files = dict(target.files)
    done = pruned(target, 1, "web")
    assert (done.status, done.phase) == ("failed", "read")
    assert target.files == files


def test_a_target_that_does_not_answer_stops_no_other(target: MemoryTarget) -> None:
    other = MemoryTarget("host2")
    other.failing("open")
    done = prune(Work(SILENT_REPORTER), [other.place(), target.place()], (), 2, dry_run=False)
    assert [one.status for one in done] == ["failed", "pruned"]


@given(st.data())
def test_whatever_the_record_says_current_used_and_newest_stay(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 8))
    names = [str(number) for number in range(count)]
    current = data.draw(st.sampled_from(names))
    previous = data.draw(st.sampled_from(["", *names]))
    keep = data.draw(st.integers(1, 9))
    used = set(data.draw(st.lists(st.sampled_from(names))))
    files = {name: StoredFile(f"web--{name}--{'a' * 16}.qcow2", 1, "a" * 64) for name in names}
    record = TemplateState("web", current, previous, tuple(Published(name, (files[name],)) for name in names))
    chosen = choice(record, keep, {files[name].name: "vm" for name in used})
    old = {one.version for one in chosen.old}
    must_stay = {current, *used, *names[-keep:], *([previous] if keep > 1 else [])}
    assert old == set(names) - must_stay
