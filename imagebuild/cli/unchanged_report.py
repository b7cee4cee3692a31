"""Reports an unchanged build whose decision is known, as ``imagebuild.build.engine`` and `build` would."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from imagebuild.build import tool_versions
from imagebuild.build.accelerators import known_for
from imagebuild.build.recorder import first_line, now
from imagebuild.cli.build_results import print_result
from imagebuild.cli.output import echo_lines
from imagebuild.cli.progress_options import ProgressChoice
from imagebuild.cli.report import reporter
from imagebuild.errors import ImageBuildError
from imagebuild.host import probe_cache
from imagebuild.json_lines import ArtifactReady
from imagebuild.kickstrap.mirror import mirror_depends_on
from imagebuild.progress import Reporter
from imagebuild.store.artifact import LATEST
from imagebuild.store.history import Build, History, StepRecord
from imagebuild.store.runs import new_run
from imagebuild.store.store import Store

if TYPE_CHECKING:
    from imagebuild.cli.unchanged_build import Decision

PROBES: Mapping[str, Callable[[], str]] = {
    tool_versions.PROBE: tool_versions.deciding_state,
    "mirror": lambda: probe_cache.of_files(mirror_depends_on()),
}
"""How the state is found that the answer of each probe belongs to."""


class _LockHeld(Exception):
    """Another build of this recipe runs."""


def reported(decision: Decision) -> bool:
    """Report the build; False if the host, the store or the artifact is not as it was. Nothing has been
    printed then.
    """
    with ExitStack() as held:
        try:
            store = Store(Path(decision.store))
            store.clear_locks()
            if store.runs.dead() or not _same_answers(decision, store):
                return False
            held.enter_context(store.locked(decision.lock, _refuse))
            if not _is_there(decision):
                return False
        except (_LockHeld, ImageBuildError, OSError):
            return False
        reports = reporter(
            as_json=decision.as_json,
            quiet=decision.quiet,
            choice=ProgressChoice(decision.progress, decision.sections),
        )
        _report(decision, store, reports)
    if not (decision.as_json or decision.quiet or decision.progress == "none"):
        echo_lines(())  # where a build that made something says what to do next
    print_result(
        reports,
        ArtifactReady(
            unchanged=True,
            recipe=decision.recipe,
            version=decision.version,
            image=decision.image,
            manifest=decision.manifest,
        ),
    )
    return True


def _refuse(pid: str) -> None:
    raise _LockHeld(pid)


def _same_answers(decision: Decision, store: Store) -> bool:
    """Whether the host's programs and its mirror are the same."""
    for name, (state, answer) in decision.probes.items():
        present = PROBES[name]() if name in PROBES else None
        if present != state or probe_cache.known(store.probe_cache, name, state) != answer:
            return False
    return True


def _is_there(decision: Decision) -> bool:
    """Whether the artifact is the latest and complete, and its manifest the same. Raises OSError."""
    folder = Path(decision.folder)
    if os.readlink(folder / LATEST) != decision.version:  # noqa: PTH115 - a text is needed
        return False
    version = folder / decision.version
    if not stat.S_ISDIR(version.lstat().st_mode):
        return False
    descriptor = os.open(decision.manifest, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as manifest:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return False
        if hashlib.sha256(manifest.read()).hexdigest() != decision.manifest_sha256:
            return False
    return all(_is_whole(version / name, size) for name, size in decision.images)


def _is_whole(image: Path, size: int) -> bool:
    status = image.lstat()
    return stat.S_ISREG(status.st_mode) and status.st_size == size


def _report(decision: Decision, store: Store, reports: Reporter) -> None:
    """Report the plan, and record the build in the history."""
    build = Build(run=new_run(decision.recipe), recipe=decision.recipe, began=now())
    accelerator = known_for(decision.virt_type, decision.arch, store)
    try:
        with reports.step(decision.recipe, "plan") as progress:
            progress.update(decision.update)
            progress.summary(decision.summary)
        for note in decision.notes:
            reports.note(decision.recipe, note)
    except BaseException as error:
        interrupted = isinstance(error, KeyboardInterrupt)
        outcome = replace(
            build,
            ended=now(),
            outcome="interrupted" if interrupted else "failed",
            error=None if interrupted else first_line(error),
            accelerator=accelerator,
        )
        History(store).put(outcome)
        raise
    done = replace(
        build,
        ended=now(),
        outcome="unchanged",
        version=decision.version,
        fingerprint=decision.fingerprint,
        size=decision.size,
        virtual_size=decision.virtual_size,
        accelerator=accelerator,
        steps=tuple(StepRecord(name, kind, made_from, "cached") for name, kind, made_from in decision.steps),
    )
    History(store).put(done)
