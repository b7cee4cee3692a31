"""`imagebuild history --plot`: the time of each step and the sizes of the last builds."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner, Result

from imagebuild.cli.main import cli
from imagebuild.errors import HostError, UsageError
from imagebuild.pictures import history_chart, optional
from imagebuild.pictures.svg import tag
from imagebuild.store.history import Build, History, StepRecord
from imagebuild.store.store import Store

BAD = "web\x1b[31m\x00\u202e</text><script>alert(1)</script>&amp;\ud800"


def step(name: str, seconds: float | None) -> StepRecord:
    return StepRecord(name, name, "f" * 64, "cached" if seconds is None else "run", seconds)


def build(day: int, recipe: str = "web", **fields: Any) -> Build:
    began = f"2026-01-{day:02}T12:00:00.000+00:00"
    values: dict[str, Any] = {"ended": began, "outcome": "built", "version": f"2026-01-{day:02}.1"} | fields
    return Build(run=f"{recipe}-{day}", recipe=recipe, began=began, **values)


BUILDS = (
    build(1, size=400 << 20, steps=(step("payload", 90.0), step("install", 600.0), step("convert", 66.0))),
    build(2, size=410 << 20, steps=(step("payload", None), step("install", None), step("convert", 60.0))),
    build(3, outcome="failed", version=None, steps=(step("payload", None), step("install", 30.0))),
)


def texts(root: ET.Element) -> list[str]:
    return ["".join(one.itertext()) for one in root.iter(tag("text"))]


def values(root: ET.Element) -> list[str]:
    """The titles of bars and dots; the marks of the axes have some too, without a build."""
    titles = [str(one.text) for group in root.iter(tag("g")) for one in group.findall(tag("title"))]
    return [title for title in titles if ": " in title]


def test_each_step_that_ran_and_each_size_has_its_mark() -> None:
    root = ET.fromstring(history_chart.picture(BUILDS))
    assert values(root) == [
        "2026-01-01.1: 1.5 min",
        "2026-01-01.1: 10.0 min",
        "2026-01-03 12:00 failed: 0.5 min",
        "2026-01-01.1: 1.1 min",
        "2026-01-02.1: 1.0 min",
        "2026-01-01.1: 400 MiB",
        "2026-01-02.1: 410 MiB",
    ]
    shown = texts(root)
    assert [text for text in shown if text in ("payload", "install", "convert")] == ["payload", "install", "convert"]
    assert shown.count("2026-01-02.1") == 2  # below both charts
    assert {"Minutes of each step that ran", "MiB of the image"} <= set(shown)


def test_the_picture_has_names_no_scripts_and_adapts_to_dark_pages() -> None:
    text = history_chart.picture(BUILDS)
    root = ET.fromstring(text)
    assert not list(root.iter(tag("script")))
    assert not re.search(r"\b(?:xlink:)?href=|@import|url\(", text)
    ids = {one.get("id"): one.text for one in root if one.get("id")}
    assert root.get("aria-labelledby") == "title description"
    assert ids["title"] == "The last 3 builds of web: time of each step, and size"
    assert "2026-01-02.1: convert 1.0 min, 410 MiB" in str(ids["description"])
    assert "@media (prefers-color-scheme:dark)" in text


def test_hostile_names_are_only_text() -> None:
    builds = (
        build(1, BAD, size=1 << 20, version=BAD, steps=(step(BAD, 60.0),)),
        build(2, "other", steps=BUILDS[0].steps),
    )
    text = history_chart.picture(builds)
    root = ET.fromstring(text)
    assert not list(root.iter(tag("script")))
    assert any("<script>" in one for one in root.itertext())
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e]", text)
    text.encode()


def ran(*words: str) -> Result:
    return CliRunner().invoke(cli, words)


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    monkeypatch.setenv("IMAGEBUILD_STORE", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    return History(Store(tmp_path / "store"))


def test_the_command_draws_the_last_builds_oldest_first(history: History, tmp_path: Path) -> None:
    for one in (*BUILDS, build(4, "other", steps=BUILDS[0].steps), build(5, steps=(step("convert", None),))):
        history.put(one)
    done = ran("history", "web", "--plot", "web.svg", "--limit", "3")
    assert done.exit_code == 0, done.output
    assert done.output == "web.svg\n"
    root = ET.parse(tmp_path / "web.svg").getroot()
    assert [text for text in texts(root) if text.startswith("2026")][:2] == ["2026-01-02.1", "2026-01-03 12:00 failed"]


def test_nothing_to_draw(history: History, tmp_path: Path) -> None:
    assert isinstance(ran("history", "--plot", "all.svg").exception, UsageError)
    history.put(build(1, steps=(step("convert", None),)))
    error = ran("history", "web", "--plot", "all.svg").exception
    assert isinstance(error, UsageError)
    assert "no build of web has run a step" in error.message
    assert not (tmp_path / "all.svg").exists()


def test_without_the_package(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    history.put(BUILDS[0])

    def import_module(name: str) -> Any:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(optional, "import_module", import_module)
    error = ran("history", "--plot", "all.svg").exception
    assert isinstance(error, HostError)
    assert "needs the Python package pygal" in error.message
    assert "pip install 'imagebuild[pictures]'" in str(error.hint)
    assert ran("history").exit_code == 0


def test_the_library_does_not_stay_in_the_way_of_imports() -> None:
    sys.modules.pop("pygal", None)
    optional.library("pygal", "a chart")
    assert [type(one).__name__ for one in sys.meta_path if type(one).__module__.startswith("pygal")] == []
