"""What a build records in the history, with fake steps."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from test_plan import MIRROR, TOOLS

from imagebuild.build import engine, pipeline
from imagebuild.build import plan as plans
from imagebuild.build.job import Job
from imagebuild.build.plan import Plan
from imagebuild.build.step_cache import Settings, StepCache
from imagebuild.errors import HostError, ImageBuildError
from imagebuild.log import hide
from imagebuild.progress import SILENT_REPORTER, Progress
from imagebuild.recipe.load import load
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.step import Step
from imagebuild.store.artifact import Artifact, ArtifactFolder
from imagebuild.store.history import Build, History
from imagebuild.store.store import Store

RECIPE = """\
name: web
os: {family: debian, version: 13, codename: trixie}
vm: {virt_type: qemu}
operations: [reset-machine-id]
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(Store(tmp_path / "store"), tmp_path / "artifacts")


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """A recipe, on a host where only the steps themselves are needed."""

    def make_plan(recipe: Recipe, _store: Store, *_: object) -> Plan:
        return plans.make(recipe, MIRROR, tools=TOOLS, secret_key=b"k" * 32)

    monkeypatch.setattr(engine, "make_plan", make_plan)
    monkeypatch.setattr(engine, "_NEEDED", {})
    path = tmp_path / "web.yaml"
    path.write_text(RECIPE)
    return load(path)


def pretend(monkeypatch: pytest.MonkeyPatch, at: str = "", then: Callable[[], None] = lambda: None) -> None:
    """Make a run create empty entries, and call ``then`` during the step ``at``."""

    def go(run: Job, _finished: Artifact | None = None, _checks: object = ()) -> Artifact:
        def fill(_folder: Path, _progress: Progress, name: str) -> str:
            if name == at:
                then()
            return "done"

        for step in run.plan.steps[:-1]:
            run.cache.make(step, lambda folder, progress, name=step.name: fill(folder, progress, name))  # type: ignore[misc]
        output = ArtifactFolder(run.settings.output, run.recipe.name)
        with output.new(date(2026, 1, 31)) as artifact, run.cache.running(run.plan.convert):
            (artifact.folder / "web.qcow2").write_bytes(b"image")
            image = {"file": "web.qcow2", "format": "qcow2", "compression": "none", "size": 5, "virtual_size": 1 << 30}
            image["sha256"] = "0"
            (artifact.folder / "manifest.json").write_text(
                json.dumps({"fingerprint": run.plan.convert.fingerprint, "image": image})
            )
        made = output.latest()
        assert made is not None
        return made

    monkeypatch.setattr(pipeline, "run", go)


def built(recipe: Recipe, settings: Settings) -> Artifact:
    return engine.build(recipe, settings, SILENT_REPORTER)


def states(build: Build) -> dict[str, str]:
    return {step.name: step.state for step in build.steps}


def test_a_build_and_one_that_finds_all_results(
    recipe: Recipe, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch)
    artifact = built(recipe, settings)
    built(recipe, settings)
    unchanged, first = History(settings.store).builds()
    assert (first.outcome, unchanged.outcome) == ("built", "unchanged")
    assert first.run != unchanged.run
    for one in (first, unchanged):
        assert (one.recipe, one.version, one.size, one.virtual_size) == ("web", artifact.version, 5, 1 << 30)
        assert one.fingerprint == one.steps[-1].fingerprint == artifact.manifest().fingerprint
        assert one.accelerator == "tcg"
        assert one.seconds is not None
        assert one.error is None
    assert set(states(first).values()) == {"run"}
    assert all(step.seconds is not None and step.seconds < 60 for step in first.steps)
    assert set(states(unchanged).values()) == {"cached"}
    assert list((settings.store.root / "work").iterdir()) == []


def fail() -> None:
    hide("open sesame")
    raise HostError("no space left for open sesame\nand more", "a hint")


def test_a_failure_records_its_first_line_and_the_finished_steps(
    recipe: Recipe, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, "install", fail)
    with pytest.raises(HostError):
        built(recipe, settings)
    with pytest.raises(HostError):
        built(recipe, settings)
    again, first = History(settings.store).builds()
    assert (first.outcome, first.error, first.version) == ("failed", "no space left for [secret]", None)
    after = {"install": "open", "customise": "open", "convert": "open"}
    assert states(first) == {"runtime": "run", "tree": "run", "payload": "run", **after}
    assert states(again) == {"runtime": "cached", "tree": "cached", "payload": "cached", **after}


def test_an_interruption_is_not_recorded_as_a_failure(
    recipe: Recipe, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    pretend(monkeypatch, "customise", interrupt)
    with pytest.raises(KeyboardInterrupt):
        built(recipe, settings)
    (found,) = History(settings.store).builds()
    assert (found.outcome, found.error) == ("interrupted", None)
    assert found.ended is not None
    assert states(found)["install"] == "run"


def test_a_failure_before_there_is_a_plan_is_recorded(
    recipe: Recipe, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object) -> Plan:
        raise ImageBuildError("the source cannot be reached")

    monkeypatch.setattr(engine, "make_plan", unreachable)
    with pytest.raises(ImageBuildError):
        built(recipe, settings)
    (found,) = History(settings.store).builds()
    assert (found.outcome, found.error, found.steps) == ("failed", "the source cannot be reached", ())


def test_an_error_may_name_a_file_whose_name_is_not_valid_text(
    recipe: Recipe, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable() -> None:
        raise ImageBuildError("cannot read a\udcffb")

    pretend(monkeypatch, "install", unreadable)
    with pytest.raises(ImageBuildError, match="cannot read"):
        built(recipe, settings)
    assert [one.error for one in History(settings.store).builds()] == ["cannot read a?b"]


def test_a_running_build_is_in_the_history(recipe: Recipe, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, dict[str, str]]] = []

    def look() -> None:
        history = History(settings.store)
        seen.extend((history.state(one), states(one)) for one in history.builds())

    pretend(monkeypatch, "install", look)
    built(recipe, settings)
    ((state, steps),) = seen
    assert state == "running"
    assert set(steps.values()) == {"open"}


def test_no_build_fails_because_of_the_history(
    recipe: Recipe, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    History(settings.store).path.mkdir()
    pretend(monkeypatch)
    artifact = built(recipe, settings)
    assert artifact.image.exists()
    assert built(recipe, settings).version == artifact.version


def test_its_warning_is_in_the_log_of_the_build(
    recipe: Recipe, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    History(settings.store).path.mkdir()
    pretend(monkeypatch, "install", fail)
    with pytest.raises(HostError) as caught:
        built(recipe, settings)
    assert caught.value.evidence is not None
    assert "cannot record web-" in (caught.value.evidence / "build.log").read_text()


def test_the_next_build_gets_expected_durations(
    recipe: Recipe, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch)
    built(recipe, settings)
    reported: dict[str, float | None] = {}

    class Reporter(type(SILENT_REPORTER)):  # type: ignore[misc]
        def step(self, recipe: str, name: str, expected: float | None = None) -> object:
            reported[name] = expected
            return super().step(recipe, name, expected)

    engine.build(recipe, Settings(settings.store, settings.output, refresh=True), Reporter())
    (first,) = History(settings.store).builds()[1:]
    assert reported == {"plan": None, **{step.name: step.seconds for step in first.steps}}


def test_the_longest_chain_determines_the_expected_duration(
    recipe: Recipe, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def outlook(**seconds: float) -> engine.Outlook:
        plan = engine.make_plan(recipe, settings.store)
        return engine.Outlook(plan, None, dict.fromkeys(seconds, "why"), seconds)

    whole = outlook(runtime=10, tree=5, payload=40, install=100, customise=20, convert=7)
    assert whole.expected_seconds == 40 + 100 + 20 + 7
    assert outlook(runtime=50, tree=5, payload=40, install=100, customise=20, convert=7).expected_seconds == 182
    assert outlook(customise=20, convert=7).expected_seconds == 27
    unknown = engine.Outlook(whole.plan, None, {"install": "why", "convert": "why"}, {"convert": 7})
    assert unknown.expected_seconds is None


def test_waiting_for_another_build_is_not_a_run_of_the_step(settings: Settings, tmp_path: Path) -> None:
    step = Step("payload", "payload", "", {"a": "b"})
    work = tmp_path / "work"
    work.mkdir()

    class Late(StepCache):
        """Simulates another build that makes the entry after this one has looked for it."""

        def find(self, step: Step) -> Path | None:
            if step.name in asked:
                return super().find(step)
            asked.add(step.name)
            with settings.store.make(step.kind, step.fingerprint, within=work, label="web", inputs=step.inputs):
                pass
            return None

    asked: set[str] = set()
    with ExitStack() as held:
        entries = Late("web", settings, SILENT_REPORTER, work, held)
        entries.make(step, lambda *_: pytest.fail("it was made twice"))
    assert entries.seconds == {}


def test_checks_make_a_build_run_for_an_image_that_exists(
    recipe: Recipe, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch)
    built(recipe, settings)
    without, asked = engine.planned(recipe, settings), engine.planned(recipe, replace(settings, verify=True))
    assert without.artifact is not None
    assert asked.artifact is not None
    assert (without.checks, dict(asked.to_run)) == ((), {})
    assert {"clones-share-nothing", "reboot"} <= {call.name for call in asked.checks}
    assert without.expected_seconds is not None
    assert asked.expected_seconds is None
    assert engine.space_needed(asked) - engine.space_needed(without) == 768 << 20
