"""Verifies images on this host, and records the result beside an artifact."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from imagebuild.build.job import Job
from imagebuild.build.verdict import put_checks, put_verdict
from imagebuild.errors import HostError, VerificationFailed
from imagebuild.files import sync, write_atomically
from imagebuild.host import accelerator as accelerators
from imagebuild.host import hypervisor
from imagebuild.host.process import marked
from imagebuild.log import redact
from imagebuild.printable import transcript
from imagebuild.progress import Reporter
from imagebuild.store.artifact import Artifact
from imagebuild.store.runs import domain_name, new_run
from imagebuild.store.store import Store
from imagebuild.verify import offline, verifying
from imagebuild.verify.check import CheckCall
from imagebuild.verify.subject import Subject
from imagebuild.verify.subjects import artifact_subject
from imagebuild.verify.verification import Verification, junit, text
from imagebuild.verify.verifying import Setting

RESULT, JUNIT = "verify.json", "verify.xml"
_SHOWN = 5


@dataclass(frozen=True)
class VerifiedHere:
    """The result of a verification, and the folder with consoles and screenshots, which is removed
    when the block that made it ends.
    """

    verification: Verification
    evidence: Path


@dataclass(frozen=True)
class RunFolder:
    """A run: its name, and its folder, which QEMU's user can pass."""

    name: str
    work: Path


@contextmanager
def verified(
    subject: Subject,
    store: Store,
    reporter: Reporter,
    *,
    label: str,
    limit: float | None = None,
    read_only: bool = False,
) -> Iterator[VerifiedHere]:
    """Boot clones of an image in a run of their own, and check them; ``read_only`` only reads its disk.

    ``limit`` is in seconds, for each boot. Raises HostError if this host cannot do that.
    """
    run = new_run("verify")
    with store.runs.workdir(run, shared=os.geteuid() == 0) as work, marked(run):
        if read_only:
            yield _read_only(subject, store, reporter, work, label)
            return
        yield verify(subject, store, reporter, RunFolder(run, work), label=label, limit=limit)


def verify(
    subject: Subject, store: Store, reporter: Reporter, run: RunFolder, *, label: str, limit: float | None = None
) -> VerifiedHere:
    """Boot clones of an image as a part of ``run``, and check them. Raises HostError."""
    with reporter.step(label, "verify") as progress:
        progress.update("looking for an accelerator")
        with ready(subject, store, run, limit) as setting:
            done = verifying.verify(subject, setting, progress)
            progress.summary(summary(done))
        return VerifiedHere(done, setting.evidence)


@contextmanager
def ready(subject: Subject, store: Store, run: RunFolder, limit: float | None) -> Iterator[Setting]:
    """What clones of an image need on this host, as a part of ``run``. Raises HostError."""
    arch = _arch(subject)
    found = accelerators.verdict(store.probe_cache, arch)
    with hypervisor.connected(hide_kvm=found.emulated) as connection:
        if not connection.can("qemu" if found.emulated else "kvm", arch or "x86_64"):
            raise HostError(f"libvirt on this host cannot run a machine for {arch}", "see `imagebuild doctor`")
        hypervisor.check_reachable(run.work / "disk", connection.qemu_uid())
        evidence = run.work / "evidence"
        evidence.mkdir(mode=0o700)
        yield Setting(
            hypervisor=connection,
            accelerator=found.accelerator,
            work=run.work,
            evidence=evidence,
            name=domain_name(run.name),
            description=store.runs.described(run.name),
            boot_limit=limit or verifying.BOOT_LIMIT[found.accelerator],
        )


def _read_only(subject: Subject, store: Store, reporter: Reporter, work: Path, label: str) -> VerifiedHere:
    with reporter.step(label, "verify") as progress:
        evidence = work / "evidence"
        evidence.mkdir(mode=0o700)
        found = accelerators.verdict(store.probe_cache)
        done = offline.verify(subject, work, found.accelerator, progress)
        progress.summary(summary(done))
        return VerifiedHere(done, evidence)


def check_artifact(job: Job, artifact: Artifact, checks: Sequence[CheckCall]) -> None:
    """Verify an artifact that is about to become the latest, or is it already, and record the checks
    and the result.

    Raises VerificationFailed; the result and the consoles are then in the logs of the run too.
    """
    put_checks(artifact, checks)
    subject = artifact_subject(artifact, checks)
    name, mode = job.recipe.name, artifact.folder.stat().st_mode
    artifact.folder.chmod(mode | 0o111)  # so that QEMU's user reaches the image in a folder that is being filled
    try:
        done = verify(subject, job.settings.store, job.reporter, RunFolder(job.run, job.work), label=name)
    finally:
        artifact.folder.chmod(mode)
    record(artifact, done)
    if done.verification.failed:
        for path in done.evidence.iterdir():
            shutil.copyfile(path, job.logs / f"verify-{path.name}")
        (job.logs / RESULT).write_text(text(done.verification))
        (job.logs / JUNIT).write_text(junit(done.verification))
        raise failure(name, done.verification)


def failure(name: str, done: Verification) -> VerificationFailed:
    """What to report of a failed verification."""
    problems = [f"{one.name}: {problem}" for one in done.failed for problem in one.problems]
    shown = "; ".join(problems[:_SHOWN]) + (f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else "")
    return VerificationFailed(
        f"{name} did not pass its verification: {shown}",
        console=done.console,
        hint=f"docs/checks.md describes the checks; {RESULT} has all results",
    )


def summary(done: Verification) -> str:
    """The result in a few words: how many checks passed and failed, and the time to login."""
    passed = sum(one.status == "passed" for one in done.results)
    words = [f"{passed} checks passed"]
    if done.failed:
        words.append(f"{len(done.failed)} failed: {', '.join(one.name for one in done.failed)}")
    unknown = sum(one.status == "not checkable" for one in done.results)
    words += [f"{unknown} not checkable"] if unknown else []
    words += [f"login after {done.seconds_to_login:.0f} s"] if done.seconds_to_login else []
    return ", ".join(words)


def report(folder: Path, done: VerifiedHere) -> None:
    """Write the result, consoles and screenshots to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_all(folder, done)


def record(artifact: Artifact, done: VerifiedHere) -> None:
    """Write the result, consoles and screenshots beside an artifact, and the verdict to its manifest."""
    _write_all(artifact.folder, done)
    for name in (RESULT, JUNIT):
        (artifact.folder / name).chmod(0o644)
    put_verdict(artifact, done.verification)
    sync(artifact.folder)


def _write_all(folder: Path, done: VerifiedHere) -> None:
    for path in sorted(done.evidence.iterdir()):
        target = folder / f"verify-{path.name}"
        if path.suffix == ".png":
            write_atomically(target, path.read_bytes())
        else:
            write_atomically(target, transcript(redact(path.read_text(errors="replace"))))
    write_atomically(folder / RESULT, text(done.verification))
    write_atomically(folder / JUNIT, junit(done.verification))


def _arch(subject: Subject) -> str | None:
    kind = subject.machine.find("os/type")
    return None if kind is None else kind.get("arch")
