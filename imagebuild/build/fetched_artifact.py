"""An artifact that another machine has built, fetched from the remote store; and one that is sent there."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

from imagebuild.build import verdict, verification
from imagebuild.build.job import Job
from imagebuild.files import content_digest, remove_tree
from imagebuild.remote.entry_record import RemoteRecord
from imagebuild.store import version_order
from imagebuild.store.artifact import Artifact, ArtifactFolder
from imagebuild.store.entry import EntryFacts
from imagebuild.verify.check import CheckCall

_VERSION = "version"
"""The input of an artifact at the remote store that says its version."""


def fetched(job: Job, checks: Sequence[CheckCall]) -> Artifact | None:
    """The artifact of the plan, from the remote store; None if it has none that can be used.

    It keeps its version, because its manifest and what was signed name it. So it must be newer than all
    that this host has: if it is not, the image is made of the customised disks, as a new version.
    """
    step = job.plan.convert
    record = job.remote.find(step)
    output = ArtifactFolder(job.settings.output, job.recipe.name)
    if record is None or not _is_new(record, output):
        return None
    name = f"pull-artifact-{step.fingerprint}"
    with (
        job.reporter.step(job.recipe.name, step.name) as progress,
        job.settings.store.locked(name, lambda pid: progress.update(f"waiting for process {pid}")),
    ):
        arrived = job.settings.store.incoming(name)
        if not job.remote.fetch(record, arrived, progress):
            progress.summary("not from the remote store")
            return None
        if not _is_whole(Artifact(arrived, job.recipe.name, ""), record, step.fingerprint):
            remove_tree(arrived)
            progress.summary("not from the remote store")
            job.reporter.note(job.recipe.name, "warning: the image at the remote store is not what its record says")
            return None
    with output.arriving(record.inputs[_VERSION]) as new:
        for path in arrived.iterdir():
            shutil.move(path, new.folder / path.name)
        arrived.rmdir()
        if checks and not verdict.is_verified(new, checks):
            verification.check_artifact(job, new, checks)
    return output.latest()


def _is_new(record: RemoteRecord, output: ArtifactFolder) -> bool:
    version = record.inputs.get(_VERSION, "")
    here = [one.version for one in output.versions()]
    return version_order.key(version) is not None and version_order.newest([version, *here]) == version not in here


def _is_whole(arrived: Artifact, record: RemoteRecord, fingerprint: str) -> bool:
    with suppress(OSError, ValueError):
        same = all(content_digest(arrived.folder / file.name) == file.digest for file in record.files)
        return same and arrived.has_images() and arrived.manifest().fingerprint == fingerprint
    return False


def push_later(job: Job, artifact: Artifact) -> None:
    """Send an artifact that was built here."""
    job.remote.put_later(job.plan.convert, artifact.folder, lambda: facts(artifact))


def facts(artifact: Artifact) -> EntryFacts:
    """An artifact as an entry; all its files are read."""
    files = {path.name: (path.stat().st_size, content_digest(path)) for path in artifact.folder.iterdir()}
    return EntryFacts(artifact.recipe, datetime.now(UTC).isoformat(), {_VERSION: artifact.version}, files)
