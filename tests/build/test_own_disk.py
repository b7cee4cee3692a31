"""A recipe that cannot share an installed disk gets one of its own in the same build, and from then on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from test_plan import MIRROR, TOOLS
from test_recorder import pretend, states

from imagebuild.build import engine
from imagebuild.build import plan as plans
from imagebuild.build.freshness import Freshness
from imagebuild.build.plan import Plan
from imagebuild.build.step_cache import Settings
from imagebuild.errors import NotShareable
from imagebuild.progress import SILENT_REPORTER
from imagebuild.recipe.load import load
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.step import Archive, Dated
from imagebuild.store.history import History
from imagebuild.store.store import Store

RECIPE = "extends: debian-13\nname: web\nvm: {virt_type: qemu}\npackages: {append: [htop]}\nverify: false\n"


def test_it_is_built_at_once_and_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Ageless(Freshness):
        """Does not look into root archives: here they are empty."""

        def payload(self, archive: Archive, inputs: Mapping[str, str]) -> Dated:
            return Dated(dict(inputs))

    def make_plan(recipe: Recipe, store: Store, *_: object) -> Plan:
        return plans.make(recipe, MIRROR, tools=TOOLS, secret_key=b"k" * 32, world=Ageless(store))

    def refuse() -> None:
        raise NotShareable("its packages have /boot/x, which the installer looks at")

    notes: list[str] = []

    class Reporter(type(SILENT_REPORTER)):  # type: ignore[misc]
        def note(self, recipe: str, text: str) -> None:
            notes.append(text)

    monkeypatch.setattr(engine, "make_plan", make_plan)
    monkeypatch.setattr(engine, "_NEEDED", {})
    path = tmp_path / "web.yaml"
    path.write_text(RECIPE)
    recipe, settings = load(path), Settings(Store(tmp_path / "store"), tmp_path / "artifacts")
    shared = engine.planned(recipe, settings).plan
    assert [step.name for step in shared.after] == ["additions"]
    pretend(monkeypatch, "additions", refuse)
    artifact = engine.build(recipe, settings, Reporter())
    assert "it gets an installed disk of its own: its packages have /boot/x, which the installer looks at" in notes
    own = engine.planned(recipe, settings)
    assert own.plan.after == ()
    assert own.plan.convert.fingerprint == artifact.manifest().fingerprint != shared.convert.fingerprint
    assert own.artifact is not None
    (build,) = History(settings.store).builds()
    assert states(build)["install"] == "run"
