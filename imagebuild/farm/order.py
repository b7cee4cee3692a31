"""The images of an order: what each needs, and which results of steps several of them share."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from imagebuild.build import freshness, scheduler
from imagebuild.build.engine import Outlook
from imagebuild.build.scheduler import Room
from imagebuild.build.step_cache import Settings
from imagebuild.farm import bundle
from imagebuild.farm.placement import PlacedWork
from imagebuild.farm.shared import FarmStore
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.store.artifact import ArtifactFolder

_AGAIN = 3.0
"""Seconds between two questions whether the shared store has something."""
Named = tuple[str, str]
"""A result of a step: its kind and its fingerprint."""


@dataclass
class SharedSteps:
    """The results that several images of an order need: each is made once."""

    shared: FarmStore
    wanted: frozenset[Named]
    _there: set[Named] = field(default_factory=set)
    _asked: dict[Named, float] = field(default_factory=dict)

    def missing(self, results: Sequence[Named]) -> frozenset[str]:
        """Those of the results that several images need and that are not in the shared store."""
        return frozenset(" ".join(one) for one in results if one in self.wanted and not self._has(one))

    def _has(self, result: Named) -> bool:
        now = time.monotonic()
        if result not in self._there and now - self._asked.get(result, -_AGAIN) >= _AGAIN:
            self._asked[result] = now
            if self.shared.has(*result):
                self._there.add(result)
        return result in self._there


@dataclass(frozen=True)
class FarmImage:
    """An image of an order, and what a build of it needs."""

    recipe: Recipe
    fingerprint: str
    recipe_word: str
    words: tuple[str, ...]
    states: Mapping[str, str]
    room: Room
    needs: frozenset[str]
    seconds: float | None
    results: tuple[Named, ...]
    steps: SharedSteps

    @property
    def name(self) -> str:
        """The image's name."""
        return self.recipe.name

    def work(self, build: int, never: frozenset[str] = frozenset()) -> PlacedWork:
        """The build as ``placement`` sees it; ``never`` are the workers that could not do it."""
        makes = self.steps.missing(self.results)
        return PlacedWork(build, self.room, self.needs, self.seconds, makes, never)

    def newest(self, output: Path) -> str:
        """The newest version in the folder of artifacts; empty if there is none."""
        versions = ArtifactFolder(output, self.name).versions()
        return versions[0].version if versions else ""


@dataclass(frozen=True)
class PlannedBuild:
    """An image that is out of date: its outlook, and the settings and variables for its build."""

    outlook: Outlook
    settings: Settings
    given: Mapping[str, str]


def images_of(
    planned: Sequence[PlannedBuild], shared: FarmStore, root: Path, labels: Mapping[str, Sequence[str]]
) -> list[FarmImage]:
    """The images of an order; ``root`` is the project's folder, ``labels`` are those that a worker must have
    for an image.
    """
    results = [_results(one.outlook) for one in planned]
    counted = Counter(result for each in results for result in set(each))
    steps = SharedSteps(shared, frozenset(result for result, count in counted.items() if count > 1))
    return [_image(one, each, steps, root, labels) for one, each in zip(planned, results, strict=True)]


def _image(
    one: PlannedBuild, results: tuple[Named, ...], steps: SharedSteps, root: Path, labels: Mapping[str, Sequence[str]]
) -> FarmImage:
    plan = one.outlook.plan
    recipe = plan.recipe
    needs = {f"arch:{recipe.os.arch}"} | ({"kvm"} if recipe.vm.virt_type == "kvm" else set())
    needs |= {f"label:{word}" for word in labels.get(recipe.name, ())}
    return FarmImage(
        recipe=recipe,
        fingerprint=plan.convert.fingerprint,
        recipe_word=bundle.word(recipe, root),
        words=tuple(scheduler.asked(recipe, one.settings, one.given)),
        states=freshness.states((*plan.before, plan.install)),
        room=scheduler.room_for(one.outlook),
        needs=frozenset(needs),
        seconds=one.outlook.expected_seconds,
        results=results,
        steps=steps,
    )


def _results(outlook: Outlook) -> tuple[Named, ...]:
    """The results of steps that the build has to make, as far as this machine knows, without the image."""
    plan = outlook.plan
    steps = (*plan.before, plan.install, plan.customise)
    return tuple((step.kind, step.fingerprint) for step in steps if step.name in outlook.to_run)
