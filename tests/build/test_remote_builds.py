"""Builds take results from a remote store and put theirs there; trouble with it costs one warning."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from test_plan import MIRROR, TOOLS

from imagebuild.build import checkpoints, engine, pipeline
from imagebuild.build import plan as plans
from imagebuild.build.installation_record import RECORD
from imagebuild.build.plan import Plan
from imagebuild.build.remote_results import remote_results
from imagebuild.build.step_cache import Settings, StepCache
from imagebuild.errors import HostError
from imagebuild.files import sha256
from imagebuild.progress import Progress
from imagebuild.project.shared_store import SharedStore
from imagebuild.recipe.load import load
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.remote.opening import RemoteSettings, open_remote
from imagebuild.step import Step
from imagebuild.store.artifact import Artifact, ArtifactFolder
from imagebuild.store.store import Store

RECIPE = """\
name: web
os: {family: debian, version: 13, codename: trixie}
vm: {virt_type: qemu}
operations: [reset-machine-id, clean-logs]
"""
STEP = Step("payload", "payload", "a payload", {"packages": "one two"})


@dataclass
class Heard:
    """A reporter that remembers summaries with their sources, and notes."""

    done: list[tuple[str, str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @contextmanager
    def step(self, recipe: str, name: str, expected: float | None = None) -> Iterator[Progress]:
        heard = self

        class Step:
            def update(self, detail: str = "", fraction: float | None = None, waiting: str = "") -> None:
                pass

            def summary(self, text: str, source: str = "made") -> None:
                heard.done.append((name, text, source))

        yield Step()

    def note(self, recipe: str, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    folder = tmp_path / "remote"
    folder.mkdir()
    return folder


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """A recipe, on a host where only the steps themselves are needed."""

    def make_plan(recipe: Recipe, store: Store, *_: object) -> Plan:
        return plans.make(recipe, MIRROR, tools=TOOLS, secret_key=store.key())

    monkeypatch.setattr(engine, "make_plan", make_plan)
    monkeypatch.setattr(engine, "_NEEDED", {})
    path = tmp_path / "web.yaml"
    path.write_text(RECIPE)
    return load(path)


def machine(tmp_path: Path, name: str, remote: Path, **more: Any) -> Settings:
    """The settings of a machine with a store and images of its own."""
    entry = SharedStore.model_validate({"remote": str(remote), **more})
    settings = RemoteSettings(entry, tmp_path, patience=5)
    return Settings(Store(tmp_path / name), tmp_path / f"{name}-images", remote=settings)


def make(settings: Settings, recipe: Recipe, heard: Heard, *steps: Step, may_make: bool = True) -> list[Path]:
    """The entries of steps, as one build gets them."""
    work = settings.store.root / "work" / "x"
    work.mkdir(parents=True, exist_ok=True)

    def fill(folder: Path, progress: Progress) -> str:
        assert may_make, "it should have been fetched"
        (folder / "archive").write_bytes(b"x" * 100_000)
        (folder / RECORD).write_text("{}")
        return "made"

    with ExitStack() as held, remote_results(settings.remote, recipe, heard, replace=settings.refresh) as results:
        cache = StepCache("web", settings, heard, work, held, remote=results)
        return [cache.make(step, fill) for step in steps]


def test_a_result_is_made_once_and_fetched_by_others(tmp_path: Path, recipe: Recipe, remote: Path) -> None:
    one, two, heard = machine(tmp_path, "one", remote), machine(tmp_path, "two", remote), Heard()
    make(one, recipe, heard, STEP)
    (made,) = make(two, recipe, heard, STEP, may_make=False)
    assert (made / "archive").read_bytes() == b"x" * 100_000
    assert [(name, source) for name, _, source in heard.done if name != "push"] == [
        ("payload", "made"), ("payload", "remote")
    ]  # fmt: skip
    assert heard.notes == []


def test_who_never_pushes_leaves_nothing_there(tmp_path: Path, recipe: Recipe, remote: Path) -> None:
    make(machine(tmp_path, "one", remote, push="never"), recipe, Heard(), STEP)
    assert list(remote.rglob("*")) == []


def test_a_remote_store_that_is_away_costs_one_warning(tmp_path: Path, recipe: Recipe, remote: Path) -> None:
    remote.rmdir()
    heard = Heard()
    other = Step("runtime", "runtime", "a runtime", {"suite": "trixie"})
    make(machine(tmp_path, "one", remote), recipe, heard, STEP, other)
    (note,) = heard.notes
    assert "is not there; the build goes on without it" in note
    assert [source for _, _, source in heard.done] == ["made", "made"]


def test_a_push_that_fails_costs_one_warning(
    tmp_path: Path, recipe: Recipe, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imagebuild.remote.folder_place import FolderPlace

    def full(self: FolderPlace, name: str, content: bytes) -> None:
        raise HostError("there is no room")

    monkeypatch.setattr(FolderPlace, "write", full)
    heard = Heard()
    other = Step("runtime", "runtime", "a runtime", {"suite": "trixie"})
    make(machine(tmp_path, "one", remote), recipe, heard, STEP, other)
    (note,) = heard.notes
    assert "there is no room" in note


def test_a_poisoned_result_is_made_here_and_replaced(tmp_path: Path, recipe: Recipe, remote: Path) -> None:
    make(machine(tmp_path, "one", remote), recipe, Heard(), STEP)
    for chunk in remote.glob("chunks/*/*"):
        chunk.write_bytes(b"poison")
    heard = Heard()
    make(machine(tmp_path, "two", remote), recipe, heard, STEP)
    assert any("is not taken: a part of" in note for note in heard.notes)
    assert [source for name, _, source in heard.done if name == "payload"] == ["made"]
    make(machine(tmp_path, "three", remote), recipe, Heard(), STEP, may_make=False)


def test_a_refresh_takes_nothing_and_replaces_what_is_there(tmp_path: Path, recipe: Recipe, remote: Path) -> None:
    make(machine(tmp_path, "one", remote), recipe, Heard(), STEP)
    (record,) = remote.glob("entries/payload/*")
    before = record.read_bytes()
    heard = Heard()
    make(replace(machine(tmp_path, "two", remote), refresh=True), recipe, heard, STEP)
    assert [source for name, _, source in heard.done if name == "payload"] == ["made"]
    assert record.read_bytes() != before


def test_a_result_without_the_seal_is_noticed(tmp_path: Path, recipe: Recipe, remote: Path) -> None:
    (tmp_path / "key").write_text("k" * 64)
    make(machine(tmp_path, "one", remote), recipe, Heard(), STEP)
    two, heard = machine(tmp_path, "two", remote, key={"file": "key"}), Heard()
    with ExitStack() as held, remote_results(two.remote, recipe, heard, replace=False) as results:
        cache = StepCache("web", two, heard, tmp_path, held, remote=results)
        assert cache.fetch(STEP) is None
    (note,) = heard.notes
    assert "it is not sealed, and the project has a key" in note


def test_what_contains_secrets_stays_here(tmp_path: Path, recipe: Recipe, remote: Path) -> None:
    (tmp_path / "password").write_text("secret\n")
    (tmp_path / "web.yaml").write_text(
        RECIPE.replace("operations: [", "operations: [set-password: {user: root, password: {file: password}}, ")
    )
    secret = load(tmp_path / "web.yaml")
    settings = machine(tmp_path, "one", remote)
    installed = Step("install", "installed", "", {"kickstart": "one"})
    layer = Step("customise", "layer", "", {"operation": "one"})
    make(settings, secret, Heard(), STEP, installed, layer)
    assert {path.name for path in remote.glob("entries/*")} == {"payload"}


def test_what_names_a_mirror_with_a_password_stays_here(tmp_path: Path, recipe: Recipe, remote: Path) -> None:
    step = Step("payload", "payload", "", {"mirror": "https://user:secret@mirror.example/debian"})
    make(machine(tmp_path, "one", remote), recipe, Heard(), step)
    assert not any(b"secret" in path.read_bytes() for path in remote.rglob("*") if path.is_file())
    assert list(remote.glob("entries/*/*")) == []


def finished(settings: Settings, plan: Plan, text: str = "an image", version: date = date(2026, 11, 22)) -> Artifact:
    """A finished artifact of a plan."""
    folder = ArtifactFolder(settings.output, "web")
    with folder.new(version) as new:
        (new.folder / "web.qcow2").write_text(text)
        image = {"file": "web.qcow2", "size": len(text), "sha256": sha256(new.folder / "web.qcow2")}
        manifest = {"fingerprint": plan.convert.fingerprint, "image": image}
        (new.folder / "manifest.json").write_text(json.dumps(manifest))
    made = folder.latest()
    assert made is not None
    return made


@pytest.fixture
def built(tmp_path: Path, recipe: Recipe, remote: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A machine that has built the image and pushed it; nothing else can be made in the test."""
    settings = machine(tmp_path, "one", remote)
    convert = pipeline.convert

    def artifact(job: Any, customised: Path) -> Artifact:
        assert job.settings.store.root == settings.store.root, "the image should have been fetched"
        return finished(job.settings, job.plan)

    monkeypatch.setattr(convert, "artifact", artifact)
    plan = engine.make_plan(recipe, settings.store)
    with settings.store.make(
        plan.customise.kind, plan.customise.fingerprint, within=settings.store.root, label="web", inputs={}
    ) as folder:
        (folder / "disk.raw").write_text("a disk")
    assert settings.remote is not None
    with open_remote(settings.remote) as opened:
        opened.push(plan.customise.kind, plan.customise.fingerprint, settings.store)
    monkeypatch.setattr(pipeline, "prepare", lambda *_: pytest.fail("nothing has to be prepared"))
    engine.build(recipe, settings, Heard())
    return settings


def test_a_fresh_machine_fetches_the_image_itself(
    tmp_path: Path, recipe: Recipe, remote: Path, built: Settings
) -> None:
    two, heard = machine(tmp_path, "two", remote), Heard()
    made = engine.build(recipe, two, heard)
    assert (made.version, made.image.read_text()) == ("2026-11-22.1", "an image")
    mine, theirs = made.folder, built.output / "web" / made.version
    assert {path.name: path.read_bytes() for path in mine.iterdir()} == {
        path.name: path.read_bytes() for path in theirs.iterdir()
    }
    assert [(name, source) for name, _, source in heard.done if name == "convert"] == [("convert", "remote")]
    assert not list(two.store.root.glob("customised/*"))
    assert not list(two.store.root.glob("incoming/*"))
    again = engine.build(recipe, replace(two, remote=None), Heard())
    assert again.version == made.version


def test_an_image_that_is_older_than_those_here_is_not_fetched(
    tmp_path: Path, recipe: Recipe, remote: Path, built: Settings
) -> None:
    two = machine(tmp_path, "two", remote)
    plan = engine.make_plan(recipe, two.store)
    other = replace(plan, convert=replace(plan.convert, inputs={"something": "else"}))
    finished(two, other, version=date(2026, 11, 23))
    with pytest.raises(AssertionError, match="should have been fetched"):
        engine.build(recipe, two, Heard())  # converts the customised disks, which were fetched
    assert list(two.store.root.glob("customised/*"))


def test_an_altered_image_is_not_taken(tmp_path: Path, recipe: Recipe, remote: Path, built: Settings) -> None:
    (record,) = remote.glob("entries/artifact/*")
    record.write_bytes(record.read_bytes().replace(b'"web.qcow2"', b'"WEB.qcow2"'))
    two, heard = machine(tmp_path, "two", remote), Heard()
    with pytest.raises(AssertionError, match="should have been fetched"):
        engine.build(recipe, two, heard)
    assert any("is not what its record says" in note for note in heard.notes)
    assert not list((tmp_path / "two-images").glob("web/*"))


def test_the_furthest_checkpoint_is_enough(tmp_path: Path, recipe: Recipe, remote: Path) -> None:
    one, two = machine(tmp_path, "one", remote), machine(tmp_path, "two", remote)
    plan = engine.make_plan(recipe, one.store)
    work = one.store.root / "work" / "x"
    work.mkdir(parents=True)
    with ExitStack() as held, remote_results(one.remote, recipe, Heard(), replace=False) as results:
        cache = StepCache("web", one, Heard(), work, held, remote=results)
        for step in (plan.install, plan.layers[0]):
            with one.store.make(step.kind, step.fingerprint, within=work, label="web", inputs={}) as folder:
                (folder / "disk.raw").write_text(step.what)
                (folder / "customised.json").write_text("[]")
                (folder / RECORD).write_text("{}")
            cache.made(step)
    (two.store.root / "work" / "x").mkdir(parents=True)
    with ExitStack() as held, remote_results(two.remote, recipe, Heard(), replace=False) as results:
        cache = StepCache("web", two, Heard(), two.store.root / "work" / "x", held, remote=results)
        start = checkpoints.furthest(plan, cache)
    assert start is not None
    assert (start.folder / "disk.raw").read_text() == plan.layers[0].what
    assert not list(two.store.root.glob("installed/*"))
    shutil.rmtree(work)
