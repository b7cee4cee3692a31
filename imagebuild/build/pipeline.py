"""Runs the steps of a build: prepare, install, customise, convert. Reuses results in the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from imagebuild.build import checkpoints, convert, fetched_artifact, installation, verification
from imagebuild.build.accelerators import required_accelerator
from imagebuild.build.checkpoints import StartingPoint
from imagebuild.build.job import Job
from imagebuild.build.prepare import prepare, side_by_side
from imagebuild.customise.additions import GuestDiffers
from imagebuild.errors import NotShareable
from imagebuild.host.accelerator import Verdict
from imagebuild.recipe import host_inputs
from imagebuild.recipe.secrets import RealSecrets
from imagebuild.step import AddedFiles
from imagebuild.store.artifact import Artifact
from imagebuild.verify.check import CheckCall


def run(job: Job, finished: Artifact | None = None, checks: Sequence[CheckCall] = ()) -> Artifact:
    """Make the artifact of a plan; one that is finished already only has to pass its ``checks``."""
    if finished is not None:
        verification.check_artifact(job, finished, checks)
        return finished
    customised = job.cache.find(job.plan.customise)
    if customised is None:
        if (fetched := fetched_artifact.fetched(job, checks)) is not None:
            return fetched
        customised = job.cache.fetch(job.plan.customise)
    if customised is None:
        try:
            customised = _customised(job, *_start(job))
        except GuestDiffers as error:
            raise NotShareable(error.message) from error
    made = convert.artifact(job, customised)
    fetched_artifact.push_later(job, made)
    return made


def _start(job: Job) -> tuple[StartingPoint, Verdict]:
    """What the operations start from: a checkpoint, or the installed disks."""
    checkpoint = checkpoints.furthest(job.plan, job.cache)
    if checkpoint is not None:
        return checkpoint, required_accelerator(job.recipe, job.settings.store)
    installed, accelerator = _installed(job)
    return StartingPoint(installed), accelerator


def _installed(job: Job) -> tuple[Path, Verdict]:
    accelerator = partial(required_accelerator, job.recipe, job.settings.store)
    installed = job.cache.fetch(job.plan.install)
    if installed is not None:
        return installed, accelerator()
    prepared, proved = prepare(job.plan.preparation, job.cache, accelerator)
    installation.check_fits(job.recipe, prepared.room)
    with side_by_side(1) as start:
        added = _added(job)
        if added is not None:
            start(added)  # while the machine installs
        return installation.make(job, prepared, proved), proved


def _added(job: Job) -> Callable[[], AddedFiles] | None:
    """Makes what is added to the installed disk, if anything is."""
    addition = job.plan.preparation.addition
    return None if addition is None else partial(addition.make, job.cache)


def _customised(job: Job, start: StartingPoint, accelerator: Verdict) -> Path:
    operations = host_inputs.opened(job.recipe, job.plan.operations, RealSecrets())
    added = _added(job) if not start.done else None  # a checkpoint has it
    return checkpoints.make(
        job.plan,
        start,
        operations,
        cache=job.cache,
        accelerator=accelerator.accelerator,
        added=None if added is None else added(),
    )
