"""Verifies images on this host, and records the result beside an artifact."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from imagebuild.errors import HostError
from imagebuild.files import sync, write_atomically
from imagebuild.host import accelerator as accelerators
from imagebuild.host import hypervisor
from imagebuild.host.process import marked
from imagebuild.progress import Reporter
from imagebuild.store.artifact import MANIFEST, Artifact, write_checksums
from imagebuild.store.runs import domain_name, new_run
from imagebuild.store.store import Store
from imagebuild.verify import verifying
from imagebuild.verify.subject import Subject
from imagebuild.verify.verification import Verification, for_manifest, junit, text

RESULT, JUNIT = "verify.json", "verify.xml"
_KEY = "verification"


@dataclass(frozen=True)
class VerifiedHere:
    """The result of a verification, and the folder with consoles and screenshots, which is removed
    when the block that made it ends.
    """

    verification: Verification
    evidence: Path


@contextmanager
def verified(
    subject: Subject, store: Store, reporter: Reporter, *, label: str, limit: float | None = None
) -> Iterator[VerifiedHere]:
    """Boot clones of an image in a run of their own, and check them.

    ``limit`` is in seconds, for each boot. Raises HostError if this host cannot do that.
    """
    run = new_run("verify")
    shared = os.geteuid() == 0
    with store.runs.workdir(run, shared=shared) as work, marked(run), reporter.step(label, "verify") as progress:
        progress.update("looking for an accelerator")
        arch = _arch(subject)
        found = accelerators.verdict(store.probe_cache, arch)
        with hypervisor.connected(hide_kvm=found.emulated) as connection:
            if not connection.can("qemu" if found.emulated else "kvm", arch or "x86_64"):
                raise HostError(f"libvirt on this host cannot run a machine for {arch}", "see `imagebuild doctor`")
            evidence = work / "evidence"
            evidence.mkdir(mode=0o700)
            setting = verifying.Setting(
                hypervisor=connection,
                accelerator=found.accelerator,
                work=work,
                evidence=evidence,
                name=domain_name(run),
                description=store.runs.described(run),
                boot_limit=limit or verifying.BOOT_LIMIT[found.accelerator],
            )
            done = verifying.verify(subject, setting, progress)
            progress.summary(summary(done))
        yield VerifiedHere(done, evidence)


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


def record(artifact: Artifact, done: VerifiedHere) -> None:
    """Write the result, consoles and screenshots beside an artifact, and the verdict to its manifest."""
    for path in sorted(done.evidence.iterdir()):
        _copy(path, artifact.folder / f"verify-{path.name}")
    write_atomically(artifact.folder / RESULT, text(done.verification))
    write_atomically(artifact.folder / JUNIT, junit(done.verification))
    manifest = artifact.folder / MANIFEST
    content = json.loads(manifest.read_text(encoding="utf-8"))
    content[_KEY] = for_manifest(done.verification)
    write_atomically(manifest, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    for name in (RESULT, JUNIT, MANIFEST):
        (artifact.folder / name).chmod(0o644)
    write_checksums(artifact)
    sync(artifact.folder)


def is_verified(artifact: Artifact, subject: Subject) -> bool:
    """Whether the manifest says that this image passed these checks, in the versions of today."""
    try:
        found = json.loads((artifact.folder / MANIFEST).read_text(encoding="utf-8")).get(_KEY) or {}
        checks = {name: one.get("version") for name, one in found.get("checks", {}).items()}
    except (OSError, ValueError, AttributeError):
        return False
    return found.get("verdict") == "passed" and checks == verifying.versions(subject)


def _copy(source: Path, target: Path) -> None:
    """Copy a file to a new one that replaces the target, readable like the artifact's logs."""
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as file:
        aside = Path(file.name)
        try:
            with source.open("rb") as content:
                shutil.copyfileobj(content, file)
            file.flush()
            os.fsync(file.fileno())
            aside.chmod(0o600)
            aside.rename(target)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise


def _arch(subject: Subject) -> str | None:
    kind = subject.machine.find("os/type")
    return None if kind is None else kind.get("arch")
