"""Makes an earlier version of a template current again, after its files have been read back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from imagebuild.errors import ImageBuildError
from imagebuild.publish import signed
from imagebuild.publish.parallel import Attempt, Work
from imagebuild.publish.places import TargetPlace
from imagebuild.publish.protocol import TemplateTarget
from imagebuild.publish.results import TargetResult
from imagebuild.publish.signed import Acceptance
from imagebuild.publish.state import Published, TemplateState
from imagebuild.publish.transfer import read_back, repair_hint, switch


def roll_back(
    work: Work, places: Sequence[TargetPlace], template: str, to: str = "", accepted: Acceptance | None = None
) -> list[TargetResult]:
    """Go back at each place to the version ``to``, or else to the previous one, which must be signed if
    ``accepted`` says by whom. That somebody has gone back is recorded.

    A place without the template is ``absent``.
    """

    def one(place: TargetPlace, attempt: Attempt) -> TargetResult:
        attempt.enter("open", "connecting")
        with place.open() as target:
            attempt.enter("lock", "waiting for the lock")
            with target.lock():
                return _one(target, template, to, attempt, accepted)

    return work.each(places, "rollback", TargetResult, one)


def _one(target: TemplateTarget, template: str, to: str, attempt: Attempt, accepted: Acceptance | None) -> TargetResult:
    attempt.enter("read", "reading the record")
    before = target.state(template)
    if before is None:
        return TargetResult(**attempt.values("absent") | {"phase": ""})
    attempt.version = attempt.previous = before.current
    wanted = _wanted(before, to, target.name)
    if accepted is not None:
        signed.verified(wanted, template, target.name, accepted)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    if wanted.version == before.current and not (to and before.is_replayed):
        return TargetResult(**attempt.values("unchanged") | {"phase": ""})
    check_stored(target, wanted, attempt)
    switch(target, before.back(wanted.version, now), attempt)
    attempt.version = wanted.version
    return TargetResult(**attempt.values("switched") | {"phase": ""})


def _wanted(before: TemplateState, to: str, where: str) -> Published:
    name = to or before.previous
    others = [one.version for one in before.versions if one.version != before.current]
    if not name and others:
        raise ImageBuildError(
            f"the previous version of {before.template} on {where} was removed,"
            f" or there was none before {before.current}",
            f"choose one with --to VERSION; the newest others there are: {', '.join(others[-10:])}",
        )
    if not name:
        raise ImageBuildError(
            f"there is no version of {before.template} on {where} before {before.current}",
            "`imagebuild publish` adds versions",
        )
    found = before.version(name)
    if found is None:
        there = ", ".join(one.version for one in before.versions[-10:])
        raise ImageBuildError(f"{where} has no version {name} of {before.template}", f"the newest there are: {there}")
    return found


def check_stored(target: TemplateTarget, version: Published, attempt: Attempt) -> None:
    """Read back the files of a version. Raises ImageBuildError if one is not what was published."""
    for file in version.files:
        found = read_back(target, file, attempt)
        if found != file.sha256:
            how = "was altered: its SHA-256 is not that of what was published" if found else "is missing"
            raise ImageBuildError(
                f"{file.name} on {target.name} {how}; {version.version} did not become current",
                f"go back to another version with --to; {repair_hint(version.version)}",
            )


def undo(target: TemplateTarget, before: TemplateState, version: str, attempt: Attempt) -> None:
    """Undo the switch to ``version``: what was current and previous becomes that again. The version
    stays in the record. Raises ImageBuildError.
    """
    with target.lock():
        now = target.state(before.template)
        if now is None or now.current != version:
            current = now.current if now else "nothing"
            raise ImageBuildError(f"{current} is current on {target.name} now, so it was not rolled back")
        old = now.version(before.current)
        if old is None:
            raise ImageBuildError(f"{before.current} is no longer on {target.name}, so it was not rolled back")
        check_stored(target, old, attempt)
        known = now.version(before.previous) is not None
        when = datetime.now(UTC).isoformat(timespec="seconds")
        back = now.back(before.current, when)
        switch(target, replace(back, previous=before.previous if known else ""), attempt)
