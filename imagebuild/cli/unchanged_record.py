"""Keeps the decision of an unchanged build: :mod:`imagebuild.cli.unchanged_build` says which, and for what."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import platformdirs

from imagebuild.build import installers, verdict
from imagebuild.build.engine import Outlook, lock_name
from imagebuild.build.step_cache import Settings
from imagebuild.cli import unchanged_build
from imagebuild.cli.progress_options import chosen
from imagebuild.cli.unchanged_build import Decision, Watched
from imagebuild.cli.unchanged_report import PROBES
from imagebuild.errors import ImageBuildError
from imagebuild.host.inputs import inputs
from imagebuild.progress import Progress, Reporter, ResultSource
from imagebuild.recipe import host_inputs
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.store.artifact import MANIFEST, ArtifactFolder
from imagebuild.store.history import Build

_BOOT_ID = "/proc/sys/kernel/random/boot_id"
"""Only the accelerator depends on it, which is looked up again."""


class Keeper:
    """Passes on what a build reports to ``reporter``, and keeps its decision if it is unchanged; not without
    ``keeps``: neither a trace nor a log can be repeated.
    """

    def __init__(self, reporter: Reporter, *, as_json: bool, quiet: bool, keeps: bool = True) -> None:
        self._reporter = reporter
        self._keeps = keeps
        self._as_json, self._quiet = as_json, quiet
        self._steps: list[str] = []
        self._updates: list[str] = []
        self._summaries: list[str] = []
        self._notes: list[str] = []
        self._decided: tuple[Watched, Outlook, Build] | None = None

    @contextmanager
    def step(self, recipe: str, name: str, expected: float | None = None) -> Iterator[Progress]:
        self._steps.append(name)
        with self._reporter.step(recipe, name, expected) as progress:
            yield _NotedProgress(progress, self._updates, self._summaries)

    def note(self, recipe: str, text: str) -> None:
        self._notes.append(text)
        self._reporter.note(recipe, text)

    def unchanged(self, outlook: Outlook, build: Build) -> None:
        """What ``engine.build`` has found: the latest artifact is current."""
        if (watched := unchanged_build.watched()) is not None:
            watched.opened.stop()
            self._decided = watched, outlook, build

    def keep(self, recipe: Recipe, settings: Settings) -> None:
        """Keep the decision, if all that it came from can be compared."""
        if not self._keeps or self._decided is None or not _is_certain(recipe, settings, self._decided[1]):
            return
        with suppress(OSError, ValueError, ImageBuildError):  # the build has ended well all the same
            self._keep(recipe, settings, *self._decided)

    def _keep(self, recipe: Recipe, settings: Settings, watched: Watched, outlook: Outlook, build: Build) -> None:
        decision = self._decision(recipe, settings, watched, outlook, build)
        if decision is None or not watched.seen.is_whole or not watched.seen.is_current():
            return
        root, made = settings.store.root, Path(decision.folder).absolute()
        manifest = Path(decision.manifest).absolute()
        # these are compared in another way, or do not count: the store is full of what changes
        passed = {*map(str, (root, settings.store.probe_cache, root / "CACHEDIR.TAG", made, manifest)), _BOOT_ID}
        folders = [*map(str, (root / "work", root / "locks", platformdirs.user_cache_path("imagebuild-templates")))]
        found = inputs(watched.opened, watched.seen.places, passed, folders)
        if found is not None:
            unchanged_build.write(watched, found, decision)

    def _decision(
        self, recipe: Recipe, settings: Settings, watched: Watched, outlook: Outlook, build: Build
    ) -> Decision | None:
        artifact, probes, choice = outlook.artifact, watched.seen.probes, chosen()
        reported = self._steps == ["plan"] and len(self._updates) == len(self._summaries) == 1
        if artifact is None or not reported or not probes.keys() <= PROBES.keys():
            return None
        path = artifact.folder / MANIFEST
        before = path.read_bytes()
        manifest, checks = artifact.manifest(), verdict.wanted(recipe, asked=settings.verify)
        passed = not checks or verdict.is_verified(artifact, checks)
        if manifest.fingerprint != build.fingerprint or not passed or path.read_bytes() != before:
            return None
        return Decision(
            recipe=recipe.name,
            version=artifact.version,
            store=str(settings.store.root),
            lock=lock_name(settings.output, recipe.name),
            folder=str(ArtifactFolder(settings.output, recipe.name).folder),
            image=str(artifact.folder / manifest.image.file),
            manifest=str(path),
            manifest_sha256=hashlib.sha256(before).hexdigest(),
            images=[(image.file, image.size) for image in manifest.images],
            fingerprint=manifest.fingerprint,
            steps=[(step.name, step.kind, step.fingerprint) for step in outlook.plan.steps],
            size=build.size or 0,
            virtual_size=build.virtual_size or 0,
            virt_type=recipe.vm.virt_type,
            arch=recipe.os.arch,
            probes=probes,
            update=self._updates[0],
            summary=self._summaries[0],
            notes=self._notes,
            as_json=self._as_json,
            quiet=self._quiet,
            progress=choice.progress,
            sections=choice.sections,
        )


class _NotedProgress:
    """Passes on the progress of a step, and notes it."""

    def __init__(self, progress: Progress, updates: list[str], summaries: list[str]) -> None:
        self._progress, self._updates, self._summaries = progress, updates, summaries

    def update(self, detail: str = "", fraction: float | None = None, waiting: str = "") -> None:
        self._updates.append(detail)
        self._progress.update(detail, fraction, waiting)

    def summary(self, text: str, source: ResultSource = "made") -> None:
        self._summaries.append(text)
        self._progress.summary(text, source)


def _is_certain(recipe: Recipe, settings: Settings, outlook: Outlook) -> bool:
    """Whether the decision depends on nothing but files, and on answers that are compared."""
    asked = settings.refresh or settings.if_changed or settings.max_age is not None or settings.remote is not None
    servers = installers.of(recipe).ASKS_SERVERS or bool(outlook.asked)
    return not (asked or servers or settings.looked is not None or host_inputs.has_secrets(recipe))
