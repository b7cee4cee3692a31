"""``imagebuild history``, and how `plan` and a build's progress use it."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from imagebuild.cli import report
from imagebuild.cli.main import cli
from imagebuild.cli.terminal import TerminalReporter
from imagebuild.errors import HostError, UsageError
from imagebuild.progress import Reporter
from imagebuild.store.history import Build, History, StepRecord
from imagebuild.store.store import Store


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    monkeypatch.setenv("IMAGEBUILD_STORE", str(tmp_path / "store"))
    return History(Store(tmp_path / "store"))


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project with a recipe that yields two images."""
    (tmp_path / "recipes").mkdir()
    head = "os: {family: debian, version: 13, codename: trixie}\ninstaller: {mirror: http://mirror.example/debian}\n"
    head += "lint: {ignore: {shared-identity: never built, nobody-can-log-in: never built}}\n"
    (tmp_path / "recipes/web.yaml").write_text(f"name: web\n{head}")
    (tmp_path / "recipes/shop.yaml").write_text(f"name: shop-${{size}}\nmatrix: {{size: [s, l]}}\n{head}")
    monkeypatch.chdir(tmp_path)


def ran(*words: str) -> Result:
    return CliRunner().invoke(cli, words)


def lines(*words: str) -> list[str]:
    result = ran(*words)
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


def build(at: int, recipe: str = "web", **fields: Any) -> Build:
    return Build(run=f"{recipe}-{at}", recipe=recipe, began=f"2026-01-31T12:{at:02}:00.000+00:00", **fields)


def local(minute: int) -> str:
    return f"{datetime(2026, 1, 31, 12, minute, tzinfo=UTC).astimezone():%Y-%m-%d %H:%M}"


def step(name: str, seconds: float | None = None) -> StepRecord:
    return StepRecord(name, name, "f" * 64, "cached" if seconds is None else "run", seconds)


BUILT = build(
    0,
    ended="2026-01-31T12:01:05.000+00:00",
    outcome="built",
    version="2026-01-31.1",
    size=430 << 20,
    virtual_size=4 << 30,
    steps=(step("payload"), step("install", 55.25), step("convert", 9.75)),
)
FAILED = build(
    2, ended="2026-01-31T12:02:34.000+00:00", outcome="failed", error="no space left", steps=(step("payload", 30.0),)
)


def test_the_table(history: History) -> None:
    for one in (BUILT, build(1, "shop-s"), FAILED):
        history.put(one)
    assert lines("history") == [
        "began             recipe  version       outcome  time     size  run",
        f"{local(2)}  web                   failed   0:34           payload; no space left",
        f"{local(1)}  shop-s                died",
        f"{local(0)}  web     2026-01-31.1  built    1:05  430 MiB  install, convert",
    ]


def test_only_the_named_recipes_are_shown(history: History) -> None:
    for one in (build(1), build(2, "shop-s"), build(3, "shop-l"), build(4, "gone")):
        history.put(one)

    def recipes(*words: str) -> list[str]:
        return [json.loads(line)["recipe"] for line in lines("history", "--json", *words)]

    assert recipes() == ["gone", "shop-l", "shop-s", "web"]
    assert recipes("--limit", "2") == ["gone", "shop-l"]
    assert recipes("shop-s") == ["shop-s"]
    assert recipes("shop") == ["shop-l", "shop-s"]
    assert recipes("recipes/web.yaml", "shop-l") == ["shop-l", "web"]
    assert recipes("gone") == ["gone"]


def test_an_unknown_name(history: History) -> None:
    error = ran("history", "wbe").exception
    assert isinstance(error, UsageError)
    assert "web" in str(error.hint)


def test_no_builds_yet(history: History) -> None:
    assert lines("history") == ["no recorded builds"]
    assert lines("history", "web") == ["no recorded builds of web"]
    assert lines("history", "--json") == []
    assert not history.path.exists()


def test_json_has_every_field_of_a_build(history: History) -> None:
    history.put(BUILT)
    (line,) = lines("history", "--json")
    found = json.loads(line)
    assert found.pop("steps") == [
        {"name": "payload", "kind": "payload", "fingerprint": "f" * 64, "state": "cached", "seconds": None},
        {"name": "install", "kind": "install", "fingerprint": "f" * 64, "state": "run", "seconds": 55.2},
        {"name": "convert", "kind": "convert", "fingerprint": "f" * 64, "state": "run", "seconds": 9.8},
    ]
    assert found == {
        "schema": 1,
        "event": "build",
        "run": "web-0",
        "recipe": "web",
        "began": "2026-01-31T12:00:00.000+00:00",
        "ended": "2026-01-31T12:01:05.000+00:00",
        "seconds": 65.0,
        "outcome": "built",
        "version": "2026-01-31.1",
        "fingerprint": None,
        "error": None,
        "size": 430 << 20,
        "virtual_size": 4 << 30,
        "accelerator": None,
    }


def test_a_damaged_history_is_not_treated_as_empty(history: History) -> None:
    history.path.write_text("no database" * 100)
    error = ran("history").exception
    assert isinstance(error, HostError)
    assert "damaged" in error.message
    assert lines("history") == ["no recorded builds"]


def test_plan_shows_how_long_the_steps_may_take(history: History) -> None:
    before = lines("plan", "web")
    assert before[0] == "web  6 steps, 0 cached"
    assert "~" not in "".join(before)
    history.put(build(1, steps=(step("install", 83.4), step("convert", 5.0))))
    found = lines("plan", "web")
    assert found[0] == "web  6 steps, 0 cached"
    assert [line.split()[0] for line in found[1:] if "~" in line] == ["install", "convert"]
    assert found[4].endswith("  ~1:23  not built yet")
    assert found[1].index("not built yet") == found[4].index("not built yet")
    history.put(build(2, steps=tuple(step(name, 10.0) for name in ("runtime", "tree", "payload", "customise"))))
    assert lines("plan", "web")[0] == "web  6 steps, 0 cached, ~1:58 to go"


def test_plan_shows_expected_times_as_json(history: History) -> None:
    def expected() -> tuple[float | None, dict[str, float | None]]:
        (line,) = lines("plan", "web", "--json")
        plan = json.loads(line)
        return plan["expected_seconds"], {one["step"]: one["expected_seconds"] for one in plan["steps"]}

    names = ("runtime", "tree", "payload", "install", "customise", "convert")
    assert expected() == (None, dict.fromkeys(names))
    history.put(build(1, steps=tuple(step(name, 10.04) for name in names)))
    assert expected() == (50.2, dict.fromkeys(names, 10.0))


def shown(reporter: Reporter, expected: float | None) -> None:
    with reporter.step("web", "install", expected) as progress:
        progress.update("unpacking", 0.5)


@pytest.mark.parametrize(("expected", "shown_time"), [(35.2, "0:00 of ~0:35"), (None, "0:00")])
def test_a_terminal_shows_the_expected_time_next_to_the_elapsed_one(expected: float | None, shown_time: str) -> None:
    screen = io.StringIO()
    shown(TerminalReporter(Console(file=screen, force_terminal=True, width=120, color_system=None)), expected)
    assert shown_time in screen.getvalue()
    assert ("of ~" in screen.getvalue()) == (expected is not None)


def test_a_log_shows_the_expected_time_of_a_running_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_HEARTBEAT", 0.0)
    log: list[str] = []
    shown(report.PlainReporter(log.append), 35.2)
    first, last = log
    assert "  0:00 of ~0:35  … unpacking" in first
    assert "of ~" not in last


def test_json_has_the_expected_time_when_a_step_starts(capsys: pytest.CaptureFixture[str]) -> None:
    shown(report.JsonReporter(), 35.25)
    shown(report.JsonReporter(), None)
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    started = [event for event in events if event["state"] == "started"]
    assert [event["expected_seconds"] for event in started] == [35.2, None]
