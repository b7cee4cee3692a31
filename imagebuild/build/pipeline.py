"""Runs the steps of a build: prepare, install, customise, convert. Reuses results in the store."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from imagebuild.build import checkpoints, convert, installation, verification
from imagebuild.build.accelerators import required_accelerator
from imagebuild.build.job import Job
from imagebuild.build.prepare import prepare
from imagebuild.host.accelerator import Verdict
from imagebuild.recipe import host_inputs
from imagebuild.recipe.secrets import RealSecrets
from imagebuild.store.artifact import Artifact
from imagebuild.verify.check import CheckCall


def run(job: Job, finished: Artifact | None = None, checks: Sequence[CheckCall] = ()) -> Artifact:
    """Make the artifact of a plan; one that is finished already only has to pass its ``checks``."""
    if finished is not None:
        verification.check_artifact(job, finished, checks)
        return finished
    customised = job.cache.find(job.plan.customise)
    if customised is None:
        installed, accelerator = _installed(job)
        customised = _customised(job, installed, accelerator)
    return convert.artifact(job, customised)


def _installed(job: Job) -> tuple[Path, Verdict]:
    accelerator = partial(required_accelerator, job.recipe, job.settings.store)
    installed = job.cache.find(job.plan.install)
    if installed is not None:
        return installed, accelerator()
    prepared, proved = prepare(job.plan.preparation, job.cache, accelerator)
    installation.check_fits(job.recipe, prepared.room)
    return installation.make(job, prepared, proved), proved


def _customised(job: Job, installed: Path, accelerator: Verdict) -> Path:
    operations = host_inputs.opened(job.recipe, job.plan.operations, RealSecrets())
    return checkpoints.make(job.plan, installed, operations, cache=job.cache, accelerator=accelerator.accelerator)
