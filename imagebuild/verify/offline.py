"""The comparison of clones without booting any: the identities that an image contains are those
that its clones share.
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from imagebuild.customise import process
from imagebuild.customise import registry as operations
from imagebuild.host.accelerator import Accelerator
from imagebuild.progress import Progress
from imagebuild.verify import clone_disks, registry
from imagebuild.verify.check import CheckResult
from imagebuild.verify.subject import Subject
from imagebuild.verify.verification import Verification

CLONES = "clones-share-nothing"


def verify(subject: Subject, work: Path, accelerator: Accelerator, progress: Progress) -> Verification:
    """Look for identities on an overlay of the image in ``work``. All other checks need a booted guest."""
    began, begin = datetime.now(UTC), time.monotonic()
    clone_disks.check_room(work)
    first, *more = clone_disks.overlays(replace(subject, grows=0), subject.disks, work, "offline")
    found = process.run(
        first.path,
        "qcow2",
        (),
        accel=accelerator,
        workdir=work,
        more=[one.path for one in more],
        network=False,
        progress=progress,
        task="audit",
    )
    problems = [
        f"{change.path}: {change.what} ({one.name})"
        for one in found.operations
        if one.name in operations.names() and operations.get(one.name).carries == "identity"
        for change in one.changes
    ]
    version = registry.get(CLONES).version
    seconds = round(time.monotonic() - begin, 1)
    shared = CheckResult(CLONES, "failed" if problems else "passed", tuple(problems), "", seconds, version)
    rest = [
        CheckResult(call.name, "not checkable", (), "needs a booted guest", 0.0, registry.get(call.name).version)
        for call in subject.checks
        if call.name != CLONES
    ]
    return Verification(
        image=subject.name,
        sha256=subject.sha256,
        accelerator="none",
        seconds_to_login=None,
        results=(shared, *rest),
        replaced=subject.notes,
        began=began.isoformat(timespec="seconds"),
        seconds=seconds,
    )
