"""Builds a recipe: compares its plan with the store, and runs steps whose results are missing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from imagebuild import fetch, fingerprint, log
from imagebuild.build import explain, installers, postmortem, tool_versions, verdict
from imagebuild.build import plan as plans
from imagebuild.build.accelerators import known_accelerator
from imagebuild.build.freshness import Freshness, refuse
from imagebuild.build.job import Job
from imagebuild.build.plan import Plan
from imagebuild.build.recorder import recorded
from imagebuild.build.remote_results import remote_results
from imagebuild.build.step_cache import Settings
from imagebuild.errors import HostError, ImageBuildError, NotShareable, from_os
from imagebuild.host.process import end_marked, marked
from imagebuild.printable import counted
from imagebuild.progress import Reporter
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.schema.section import MIB
from imagebuild.step import Step
from imagebuild.store.artifact import Artifact, ArtifactFolder
from imagebuild.store.history import Build, History
from imagebuild.store.runs import domain_name, new_run
from imagebuild.store.store import Store
from imagebuild.verify.check import CheckCall
from imagebuild.verify.verification import ROOM

_NEEDED = {
    "runtime": 700 * MIB,
    "payload": 1536 * MIB,
    "source": 2048 * MIB,
    "install": 2048 * MIB,
    "customise": 1536 * MIB,
}
"""Bytes that a step may need on the store's file system: those of a Debian server, plus 50 %."""
_NEEDED_COMPRESSED, _NEEDED_RAW = 512 * MIB, 1536 * MIB
"""Bytes of an image, by whether its format compresses."""


@dataclass(frozen=True)
class Outlook:
    """A plan compared with the store: the finished artifact if it exists, else which steps must run
    and why.
    """

    plan: Plan
    artifact: Artifact | None
    to_run: Mapping[str, str]
    """Step name → reason, in the order in which the steps run."""
    expected: Mapping[str, float] = field(default_factory=dict)
    """Step name → expected seconds, for the steps to run that are in the history."""
    checks: Sequence[CheckCall] = ()
    """The checks that the artifact must pass and has not passed yet."""
    expected_checking: float | None = None
    """Expected seconds of these checks, if an earlier artifact was verified."""
    is_latest: bool = True
    """Whether the artifact is the latest: it is not if its build was killed at the last moment."""

    @property
    def cached(self) -> int:
        return len(self.plan.steps) - len(self.to_run)

    @property
    def expected_seconds(self) -> float | None:
        """The expected duration of all that must run; None if that of any part is unknown."""
        if self.to_run.keys() - self.expected.keys() or (self.checks and self.expected_checking is None):
            return None
        plan = self.plan
        preparation = max(map(self._expected, plan.preparation.chains))
        checking = (self.expected_checking or 0.0) if self.checks else 0.0
        disk = max(self._expected((plan.install,)), self._expected(plan.after))
        return preparation + disk + self._expected((plan.customise, plan.convert)) + checking

    def _expected(self, steps: Iterable[Step]) -> float:
        return sum(self.expected.get(step.name, 0.0) for step in steps)

    @property
    def asked(self) -> tuple[str, ...]:
        """The addresses that were queried for this plan."""
        return self.plan.preparation.asked


Unchanged = Callable[[Outlook, Build], None]
"""What is called with the outlook of a build that changed nothing, and with its record."""


def make_plan(recipe: Recipe, store: Store, world: Freshness | None = None, looked: Any = None) -> Plan:
    """The plan of ``recipe`` on this host. Queries an install source on the network: see
    ``Outlook.asked``. ``looked`` replaces what its installer would look up.
    """
    looked = looked or installers.of(recipe).look_up(recipe, store)
    return plans.make(
        recipe,
        looked,
        tools=tool_versions.deciding(store.probe_cache),
        secret_key=store.key(),
        world=world or Freshness(store),
    )


def planned(recipe: Recipe, settings: Settings) -> Outlook:
    """What a build of ``recipe`` would do now."""
    world = Freshness(settings.store, settings.if_changed, settings.max_age)
    return look_ahead(make_plan(recipe, settings.store, world, settings.looked), settings)


def look_ahead(plan: Plan, settings: Settings) -> Outlook:
    """What a build of ``plan`` would do now."""
    folder = ArtifactFolder(settings.output, plan.recipe.name)
    before = folder.latest()
    checks = verdict.wanted(plan.recipe, asked=settings.verify)
    for made in () if settings.refresh else (before, folder.newest()):
        if made is not None and made.manifest().fingerprint == plan.convert.fingerprint:
            passed = not checks or verdict.is_verified(made, checks)
            return Outlook(
                plan, made, {}, {}, () if passed else checks, verdict.seconds(made), is_latest=made == before
            )
    needed: list[Step] = [plan.convert]
    if not _there(settings, plan.customise):
        needed.insert(0, plan.customise)
        if not any(_there(settings, layer) for layer in plan.layers):
            needed = [*(step for step in plan.after if not _there(settings, step)), *needed]
        if not _there(settings, plan.install):
            missing = [step for step in plan.before if not _there(settings, step)]
            needed = [*missing, plan.install, *needed]
    to_run = {step.name: step.because or explain.why(settings, plan, step) for step in needed}
    accelerator = known_accelerator(plan.recipe, settings.store)
    expected = History(settings.store).expected(plan.recipe.name, to_run, accelerator)
    return Outlook(plan, None, to_run, expected, checks, verdict.seconds(before))


def _there(settings: Settings, step: Step) -> bool:
    return not settings.refresh and settings.store.find(step.kind, step.fingerprint) is not None


def build(recipe: Recipe, settings: Settings, reporter: Reporter, unchanged: Unchanged | None = None) -> Artifact:
    """Build ``recipe``, or return the existing artifact. Only one build of a recipe into a folder
    runs at a time. ``unchanged`` is called if the latest artifact is the one that the plan would make.

    Raises ImageBuildError. A failure leaves only finished steps in the store and, in its folder
    ``failures``, the logs and other evidence of the failure; the error's ``evidence`` attribute
    names that folder.
    """
    with _alone(recipe, settings, reporter):
        run = new_run(recipe.name)
        with settings.store.runs.workdir(run, shared=os.geteuid() == 0) as work, marked(run):
            (work / "logs").mkdir(mode=0o711)
            with log.to_file(work / "logs" / "build.log"), recorded(recipe, settings.store, run) as recording:
                outlook = _planned(recipe, settings, reporter)
                recording.planned(outlook.plan, outlook.to_run)
                if outlook.artifact is not None and not outlook.is_latest:
                    ArtifactFolder(settings.output, recipe.name).make_latest(outlook.artifact.version)
                if outlook.artifact is not None and not outlook.checks:
                    there = recording.finished(outlook.artifact)
                    if outlook.is_latest and unchanged is not None:
                        unchanged(outlook, recording.build)
                    return there
                _check_space(outlook, settings)
                from imagebuild.build import pipeline  # imported late: most builds find all results in the store

                try:
                    with (
                        ExitStack() as held,
                        remote_results(settings.remote, recipe, reporter, replace=settings.refresh) as remote,
                    ):
                        job = Job(outlook.plan, settings, reporter, run, work, held, outlook.expected, remote)
                        recording.cache = job.cache
                        try:
                            made = pipeline.run(job, outlook.artifact, outlook.checks)
                        except NotShareable as error:
                            outlook = _with_own_disk(job, error)
                            recording.planned(outlook.plan, outlook.to_run)
                            job = replace(job, plan=outlook.plan, expected=outlook.expected)
                            recording.cache = job.cache
                            made = pipeline.run(job, outlook.artifact, outlook.checks)
                        return recording.finished(made)
                except OSError as error:
                    near = f"in {settings.store.root} or {settings.output}"
                    raise _with_evidence(from_os(error, near), recipe, settings, work) from error
                except ImageBuildError as error:
                    raise _with_evidence(error, recipe, settings, work) from error.__cause__


def _with_own_disk(job: Job, why: NotShareable) -> Outlook:
    """The outlook of the job's recipe, when it cannot share an installed disk."""
    for step in job.plan.after:
        refuse(job.settings.store, step, why.message)
    job.reporter.note(job.recipe.name, f"it gets an installed disk of its own: {why.message}")
    return _planned(job.recipe, job.settings, job.reporter)


@contextmanager
def _alone(recipe: Recipe, settings: Settings, reporter: Reporter) -> Iterator[None]:
    """Hold the lock of the recipe's artifacts; waiting for another build is a step, which shows how long."""
    with ExitStack() as waiting:

        def wait(pid: str) -> None:
            reporter.note(recipe.name, f"waiting for another build of it (process {pid})")
            waiting.enter_context(reporter.step(recipe.name, "wait")).update(f"another build of it (process {pid})")

        with settings.store.locked(lock_name(settings.output, recipe.name), wait):
            waiting.close()
            yield


def _planned(recipe: Recipe, settings: Settings, reporter: Reporter) -> Outlook:
    """The outlook of a build of ``recipe``, which is also reported."""
    with reporter.step(recipe.name, "plan") as progress:
        with fetch.reported(progress, "comparing the sources with the store"):
            outlook = planned(recipe, settings)
        progress.summary(f"{counted(len(outlook.plan.steps), 'step')}, {outlook.cached} cached")
    for warning in outlook.plan.warnings:
        reporter.note(recipe.name, str(warning))
    if (reason := verdict.why_not(recipe)) and (settings.verify or recipe.verify.enabled):
        reporter.note(recipe.name, f"the image will not be verified: {reason}")
    return outlook


def lock_name(output: Path, recipe: str) -> str:
    """The store's lock to hold while changing the artifacts of a recipe in ``output``."""
    return f"build-{fingerprint.text(str(output.absolute() / recipe))[:16]}"


def _with_evidence(error: ImageBuildError, recipe: Recipe, settings: Settings, work: Path) -> ImageBuildError:
    with suppress(OSError):  # the error itself matters more than the evidence
        error.evidence = postmortem.keep(settings.store.failure_folder(recipe.name), work, error)
    return error


def clear_dead_runs(store: Store) -> None:
    """End the programs and domains, and remove the files, of builds whose process died without
    cleaning up.
    """
    store.clear_locks()
    dead = store.runs.dead()
    if not dead:
        return
    for run in dead:
        end_marked(run)  # first: a virt-install may be about to create the domain
    from imagebuild.build.machines import machines  # libvirt: most runs have ended in peace

    with machines(store) as connection:
        if connection is not None:
            for run in dead:
                connection.end(domain_name(run))
    for run in dead:
        store.runs.bury(run)


def space_needed(outlook: Outlook) -> int:
    """Bytes that the steps to run may need on the store's file system."""
    made = outlook.plan.recipe.output.format if "convert" in outlook.to_run else ()
    images = (_NEEDED_RAW if name in ("raw", "vhdx") else _NEEDED_COMPRESSED for name in made)
    clones = ROOM if outlook.checks else 0
    return sum(_NEEDED.get(name, 0) for name in outlook.to_run) + sum(images) + clones


def _check_space(outlook: Outlook, settings: Settings) -> None:
    """Raise HostError if the store's file system has no room for the results of the steps."""
    needed = space_needed(outlook)
    free = shutil.disk_usage(settings.store.root).free
    if free < needed:
        raise HostError(
            f"{settings.store.root} has {free // MIB} MiB free; this build may need {needed // MIB} MiB",
            "free some space, or choose another file system with --store",
        )
