"""What is where, and what was altered by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagebuild.progress import SILENT_REPORTER
from imagebuild.publish.overview import DriftedFile, Leftover, ListedTarget, overview
from imagebuild.publish.parallel import Work
from imagebuild.publish.planning import plan
from tests.publish.memory_target import MemoryTarget, publication, published, release


@pytest.fixture
def target(tmp_path: Path) -> MemoryTarget:
    made = MemoryTarget("host1")
    for version in "123":
        published(release(tmp_path, version), made)
    published(release(tmp_path, "1", template="db"), made)
    made.calls.clear()
    return made


def seen(target: MemoryTarget, *templates: str, check: bool = False) -> ListedTarget:
    return overview(Work(SILENT_REPORTER), [target.place()], templates, check=check)[0]


def name(target: MemoryTarget, version: str) -> str:
    return next(one for one in target.files if one.startswith(f"web--{version}--"))


def test_versions_are_listed(target: MemoryTarget) -> None:
    done = seen(target)
    assert [one.template for one in done.templates] == ["db", "web"]
    web = done.templates[1]
    assert [(one.version, one.current, one.previous) for one in web.versions] == [
        ("1", False, False), ("2", False, True), ("3", True, False),
    ]  # fmt: skip
    assert all(one.size and one.published and one.verdict == "passed" for one in web.versions)
    assert (done.status, done.drifted, done.leftovers) == ("read", False, ())
    assert not {"lock", "digest", "switch"} & set(target.calls)
    assert [one.template for one in seen(target, "web").templates] == ["web"]
    absent = seen(target, "mail")
    assert (absent.status, absent.message, absent.known) == ("absent", "no template mail", ("db", "web"))


def test_drift_is_told_with_its_file(target: MemoryTarget) -> None:
    altered, cut, gone = (name(target, version) for version in "123")
    target.files[altered] = target.files[altered][::-1]
    target.files[cut] = b"x"
    del target.files[gone]
    cheap = seen(target).templates[1]
    assert [one.drift for one in cheap.versions] == [
        (), (DriftedFile(cut, "incomplete"),), (DriftedFile(gone, "missing"),),
    ]  # fmt: skip
    checked = seen(target, check=True)
    assert checked.drifted
    assert [one.drift for one in checked.templates[1].versions] == [
        (DriftedFile(altered, "altered"),), (DriftedFile(cut, "altered"),), (DriftedFile(gone, "missing"),),
    ]  # fmt: skip


def test_leftovers_are_listed_unless_a_record_cannot_be_read(target: MemoryTarget) -> None:
    left = f"web-disk2--9--{'a' * 16}.qcow2"
    target.files[left] = b"part"
    assert seen(target).leftovers == seen(target, "web").leftovers == (Leftover(left, 4),)
    assert seen(target, "db").leftovers == ()
    target.records["web"] = "{}"
    done = seen(target)
    assert "cannot be used" in done.templates[1].problem
    assert "virsh undefine web" in done.templates[1].hint
    assert (done.drifted, done.leftovers) == (True, ())


def test_a_plan_changes_nothing_and_says_what_would_be_sent(target: MemoryTarget, tmp_path: Path) -> None:
    new, there = release(tmp_path, "4"), release(tmp_path, "3")
    fresh = MemoryTarget("host2")
    places = [target.place(), fresh.place()]
    first, second = plan(Work(SILENT_REPORTER), places, publication(new))
    assert (first.status, first.switches, first.sends, first.version) == ("planned", True, new.size, "3")
    assert first.versions == ("1", "2", "3")
    assert (second.switches, second.version, second.versions) == (True, "", ())
    (same,) = plan(Work(SILENT_REPORTER), places[:1], publication(there))
    assert (same.switches, same.sends) == (False, 0)
    (other,) = plan(Work(SILENT_REPORTER), places[:1], publication(release(tmp_path, "3", content="x")))
    assert (other.status, "with other bytes" in other.message) == ("failed", True)
    assert not {"lock", "send", "digest", "switch"} & set(target.calls)
