"""A trace has the steps and the programs that really ran, in a form that viewers read."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from imagebuild import log
from imagebuild.errors import UsageError
from imagebuild.progress import SILENT_REPORTER
from imagebuild.trace import traced
from imagebuild.trace.chrome import Lanes, bar, document
from imagebuild.trace.tracing import TraceRecorder, _is_of

BUSY = """
import sys, time
end = time.process_time() + 2.5
while time.process_time() < end:
    pass
open(sys.argv[1], "wb").write(bytes(4 << 20))
"""


def bars(path: Path) -> list[dict[str, Any]]:
    return [event for event in json.loads(path.read_text())["traceEvents"] if event["ph"] == "X"]


def named(events: list[dict[str, Any]], name: str) -> dict[str, Any]:
    (found,) = (event for event in events if event["name"] == name)
    return found


def test_steps_with_what_they_said(tmp_path: Path) -> None:
    with traced(tmp_path / "t.json", SILENT_REPORTER) as reports:
        with reports.step("web", "install") as step:
            step.update("unpacking 3 %")
            step.update("unpacking 70 %")
            step.update("boot loader")
            step.summary("virt-install")
        reports.note("web", "a note\x1b[0m")
    found = bars(tmp_path / "t.json")
    install = named(found, "install")
    assert install["args"] == {"recipe": "web", "how": "done", "summary": "virt-install"}
    details = [event for event in found if event["tid"] == install["tid"] and event["pid"] == install["pid"]][1:]
    assert [event["name"] for event in details] == ["unpacking 3 %", "boot loader"]
    for event in details:
        assert install["ts"] <= event["ts"]
        assert event["ts"] + event["dur"] <= install["ts"] + install["dur"] + 1
    notes = [event for event in json.loads((tmp_path / "t.json").read_text())["traceEvents"] if event["ph"] == "i"]
    assert [event["name"] for event in notes] == ["a note\\x1b[0m"]


def test_steps_at_the_same_time_have_a_lane_each(tmp_path: Path) -> None:
    with traced(tmp_path / "t.json", SILENT_REPORTER) as reports:
        with reports.step("web", "runtime"), reports.step("web", "payload"):
            pass
        with reports.step("web", "convert"):
            pass
    found = bars(tmp_path / "t.json")
    lanes = {name: named(found, name)["tid"] for name in ("runtime", "payload", "convert")}
    assert lanes["runtime"] != lanes["payload"]
    assert lanes["convert"] == lanes["runtime"]


def test_a_failure_is_recorded_and_passed_on(tmp_path: Path) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        traced(tmp_path / "t.json", SILENT_REPORTER) as reports,
        reports.step("web", "install"),
    ):
        raise KeyboardInterrupt
    assert named(bars(tmp_path / "t.json"), "install")["args"]["how"] == "failed"


@pytest.mark.seconds
def test_programs_with_what_they_used(tmp_path: Path) -> None:
    log.hide("geheim-1234")
    words = [sys.executable, "-c", BUSY, str(tmp_path / "big"), "geheim-1234"]
    with traced(tmp_path / "t.json", SILENT_REPORTER):
        child = subprocess.Popen([sys.executable, "-c", "import subprocess, sys; subprocess.run(sys.argv[1:])", *words])
        assert child.wait() == 0
        time.sleep(0.5)  # two looks
    text = (tmp_path / "t.json").read_text()
    assert "geheim" not in text
    programs = {event["args"]["process"]: event for event in bars(tmp_path / "t.json")}
    worker = next(event for event in programs.values() if event["args"]["parent"] == child.pid)
    assert worker["args"]["command"].endswith("[secret]")
    assert worker["args"]["cpu_seconds"] > 0.2
    assert worker["args"]["peak_memory_bytes"] > 1 << 20
    assert child.pid in programs
    about = json.loads(text)["otherData"]
    assert about["cpu_seconds"] >= 0.7
    assert about["peak_memory_without_machines_bytes"] == about["peak_memory_bytes"] > 10 << 20


def test_a_file_that_cannot_be_written_is_reported_first(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(UsageError, match=r"--trace .*file/t\.json: (Not a directory|File exists)"),
        traced(tmp_path / "file" / "t.json", SILENT_REPORTER),
    ):
        pytest.fail("the block must not run")


def test_machines_of_the_recipes_only() -> None:
    recorder = TraceRecorder()
    recorder.recipes.add("web-1")
    assert _is_of("imagebuild-web-1-20261129220614-3e98518c", recorder)
    assert not _is_of("imagebuild-web-20261129220614-3e98518c", recorder)
    assert not _is_of("web-1", recorder)


def test_lanes_are_named_and_events_are_in_order() -> None:
    lanes = Lanes(1)
    assert [lanes.take("a"), lanes.take("a"), lanes.take("b")] == [1, 2, 3]
    lanes.release(1)
    assert (lanes.take("b"), lanes.take("a")) == (4, 1)
    made = document([bar(1, 1, "later", 2, 3), bar(1, 1, "inner", 1, 2), bar(1, 1, "outer", 1, 3)], [lanes], {"x": 1})
    assert [event["name"] for event in made["traceEvents"] if event["ph"] == "X"] == ["outer", "inner", "later"]
    assert [event["args"]["name"] for event in made["traceEvents"] if event["name"] == "thread_name"] == list("aabb")
    assert made["otherData"] == {"x": 1}
