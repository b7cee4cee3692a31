"""Parallel builds: how many run, what each reports, and how they end. A small program simulates
each build.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from faulty_server import FaultyServer

from imagebuild.build import scheduler
from imagebuild.build.scheduler import Builds, Outcome, Room
from imagebuild.build.step_cache import Settings
from imagebuild.events import ArtifactReady, ErrorReported
from imagebuild.progress import Progress
from imagebuild.recipe.load import load
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.store.store import Store

BUILD = """
import json, os, signal, sys, time
from pathlib import Path

name = sys.argv[sys.argv.index("--image") + 1]
folder = Path(sys.argv[0]).parent

def tell(**event):
    print(json.dumps({"recipe": name, **event}), flush=True)

def interrupted(*_):
    (folder / f"{name}.interrupted").touch()
    sys.exit(130)

signal.signal(signal.SIGTERM, interrupted)
(folder / f"{name}.began").write_text(f"{os.getpid()} {' '.join(sys.argv[1:])}")
if name == "a":
    print(json.dumps({"event": "note", "text": "no event"}), file=sys.stderr)
print("a line of somebody else", file=sys.stderr)
tell(event="step", step="install", state="started", expected_seconds=35.2)
if "slow" in name:
    time.sleep(60)
if "killed" in name:
    os.kill(os.getpid(), signal.SIGKILL)
while not (folder / "go").exists():
    time.sleep(0.02)
if "bad" in name:
    tell(event="step", step="install", state="failed", error="no luck", seconds=1)
    tell(event="error", message="no luck", exit_code=3, hint="try again")
    sys.exit(3)
tell(event="step", step="install", state="running", detail="unpacking", fraction=0.5)
tell(event="note", text="noted")
tell(event="step", step="install", state="done", summary="well", seconds=1)
tell(event="artifact", unchanged=False, version="2026-01-31.1", image=f"out/{name}.qcow2", manifest="out/manifest.json")
"""
RECIPE = "name: NAME\nos: {family: debian, version: 13, codename: trixie}\ndisk: {size: 2GiB}\n"


class RecordingReporter:
    """A reporter that records what is reported, and passes on the errors of steps."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    @contextmanager
    def step(self, recipe: str, name: str, expected: float | None = None) -> Iterator[Progress]:
        assert expected == (35.2 if name == "install" else None)
        reporter = self

        class Step:
            def update(self, detail: str = "", fraction: float | None = None, waiting: str = "") -> None:
                reporter.lines.append(f"{recipe} {name} {detail} {fraction}")

            def summary(self, text: str, source: str = "made") -> None:
                reporter.lines.append(f"{recipe} {name} {text}")

        try:
            yield Step()
        except BaseException as error:
            self.lines.append(f"{recipe} {name} failed: {error}")
            raise

    def note(self, recipe: str, text: str) -> None:
        self.lines.append(f"{recipe} {text}")


class Fixture:
    """Builds recipes with these names, each of which needs ``need`` of a host that has ``room``."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.reported = RecordingReporter()
        self.ended: list[Outcome] = []
        self.need, self.room = Room(1, 1, 1), Room(100, 100, 100)
        program = folder / "build.py"
        program.write_text(BUILD)
        monkeypatch.setattr(scheduler, "PROGRAM", (sys.executable, str(program)))
        monkeypatch.setattr(scheduler, "needed", lambda recipe, settings: self.need)
        monkeypatch.setattr(scheduler, "host", lambda settings: self.room)

    def recipe(self, name: str) -> Recipe:
        path = self.folder / f"{name}.yaml"
        path.write_text(RECIPE.replace("NAME", name))
        return load(path)

    def builds(self, *names: str, jobs: int = 8, fail_fast: bool = False) -> Builds:
        settings = Settings(Store(self.folder / "store"), self.folder / "out")
        recipes = [self.recipe(name) for name in names]
        return Builds(
            recipes, settings, lambda recipe: ["--var", recipe.name], self.reported, jobs, fail_fast, self.ended.append
        )

    def began(self) -> set[str]:
        return {path.stem for path in self.folder.glob("*.began")}

    def wait(self, count: int) -> set[str]:
        for _ in range(500):
            if len(self.began()) >= count:
                break
            time.sleep(0.02)
        time.sleep(0.3)  # enough time for one build too many
        return self.began()

    def go(self) -> None:
        (self.folder / "go").touch()


@pytest.fixture
def several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fixture:
    return Fixture(tmp_path, monkeypatch)


def in_thread(builds: Builds) -> tuple[threading.Thread, list[list[Outcome]]]:
    outcomes: list[list[Outcome]] = []
    thread = threading.Thread(target=lambda: outcomes.append(builds.go()))
    thread.start()
    return thread, outcomes


def image_of(outcome: scheduler.Outcome) -> str:
    assert isinstance(outcome.end, ArtifactReady)
    return outcome.end.image


def error_of(outcome: scheduler.Outcome) -> ErrorReported:
    assert isinstance(outcome.end, ErrorReported)
    return outcome.end


@pytest.mark.seconds
@pytest.mark.parametrize(
    ("jobs", "room", "at_once"),
    [
        (2, Room(100, 100, 100), 2),
        (9, Room(100, 100, 100), 4),
        (9, Room(3, 100, 100), 3),
        (9, Room(100, 2, 100), 2),
        (9, Room(100, 100, 1), 1),
        (9, Room(0, 0, 0), 1),
    ],
)
def test_as_many_as_the_host_has_room_for(several: Fixture, jobs: int, room: Room, at_once: int) -> None:
    """And always one: a single build is not refused either."""
    several.room = room
    thread, outcomes = in_thread(several.builds("a", "b", "c", "d", jobs=jobs))
    assert several.wait(at_once) == set("abcd"[:at_once])
    several.go()
    thread.join()
    assert [one.recipe for one in outcomes[0]] == ["a", "b", "c", "d"]
    assert [image_of(one) for one in outcomes[0]] == [f"out/{name}.qcow2" for name in "abcd"]


def test_the_events_of_each_build_are_relayed(several: Fixture) -> None:
    several.go()
    beside: list[str] = []
    builds = several.builds("a")
    builds.beside = beside.append
    builds.go()
    assert beside == ['{"event": "note", "text": "no event"}', "a line of somebody else"]
    assert several.reported.lines == ["a install unpacking 0.5", "a noted", "a install well"]
    _, *words = (several.folder / "a.began").read_text().split()
    assert words == ["build", str(several.folder / "a.yaml"), "--image", "a", "--json", "--var", "a"]


def test_a_failure_does_not_stop_other_builds(several: Fixture) -> None:
    several.go()
    bad, good = several.builds("bad", "good", jobs=1).go()
    assert (bad.exit_code, error_of(bad).hint) == (3, "try again")
    assert (good.exit_code, image_of(good)) == (0, "out/good.qcow2")
    assert "bad install failed: no luck" in several.reported.lines


def test_with_fail_fast_a_failure_ends_all(several: Fixture) -> None:
    thread, outcomes = in_thread(several.builds("bad", "slow", "never", jobs=2, fail_fast=True))
    several.wait(2)
    several.go()
    thread.join()
    bad, slow, never = outcomes[0]
    assert bad.exit_code == 3
    assert slow.exit_code == 1
    assert (several.folder / "slow.interrupted").exists()
    assert error_of(never).message == "not started: another build failed"
    assert "never" not in several.began()


def test_a_build_that_is_killed_is_a_failure(several: Fixture) -> None:
    (killed,) = several.builds("killed").go()
    assert error_of(killed).message == "the build's process ended early (signal 9): a line of somebody else"
    assert several.reported.lines == ["killed install failed: ended early"]


@pytest.mark.seconds
@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_reaches_every_build(several: Fixture) -> None:
    def interrupt() -> None:
        several.wait(2)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        several.builds("slow-a", "slow-b", "slow-c", jobs=2).go()
    assert {path.stem for path in several.folder.glob("*.interrupted")} == {"slow-a", "slow-b"}
    for path in several.folder.glob("*.began"):
        assert not Path("/proc", path.read_text().split()[0]).exists()


def test_the_resources_of_the_host_are_determined(tmp_path: Path) -> None:
    there = scheduler.host(Settings(Store(tmp_path / "store"), tmp_path))
    assert 0 < there.memory < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert there.vcpus == 2 * len(os.sched_getaffinity(0))
    assert there.disk > 0


def test_a_build_that_reports_no_image_is_a_failure() -> None:
    relay = scheduler.BuildRelay("a", RecordingReporter())
    relay.read(json.dumps({"event": "step", "recipe": "a", "step": "plan", "state": "started"}))
    assert error_of(relay.outcome(0, 1.0)).message.startswith("the build's process ended early (exit status 0)")


@pytest.mark.seconds
def test_each_format_needs_disk_space(tmp_path: Path) -> None:
    settings = Settings(Store(tmp_path / "store"), tmp_path / "out")

    def disk(formats: str) -> int:
        path = tmp_path / "web.yaml"
        path.write_text(RECIPE.replace("NAME", "web") + f"output: {{format: {formats}}}\n")
        return scheduler.needed(load(path), settings).disk >> 20

    one = disk("qcow2")
    assert one > 4096
    assert [disk("raw") - one, disk("[qcow2, raw.zst]") - one, disk("[qcow2, raw, vhdx]") - one] == [1024, 512, 3072]


def test_the_mirror_is_not_queried_to_determine_resources(tmp_path: Path, server: FaultyServer) -> None:
    """The build itself queries it, and once is enough."""
    path = tmp_path / "web.yaml"
    path.write_text(f"{RECIPE.replace('NAME', 'web')}installer: {{mirror: {server.url('/debian')}}}\n")
    settings = Settings(Store(tmp_path / "store"), tmp_path / "out")
    room = scheduler.needed(load(path), settings)
    for asked in (replace(settings, if_changed=True), replace(settings, max_age=3600)):
        assert scheduler.needed(load(path), asked) == room
    assert server.seen == []
