"""Publishes a release to several targets: canaries first, and the others only if these are good."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from imagebuild.errors import ImageBuildError
from imagebuild.publish.canary import CanaryCheck
from imagebuild.publish.parallel import Attempt, Work
from imagebuild.publish.places import TargetPlace
from imagebuild.publish.publication import Publication
from imagebuild.publish.results import TargetResult
from imagebuild.publish.rollback import undo
from imagebuild.publish.state import TemplateState
from imagebuild.publish.transfer import publish_to


@dataclass(frozen=True)
class Canaries:
    """The places that are published to first, and what decides whether they are good.

    Without a ``check``, a canary is good when it has been published to. Canaries go back to what was
    current before if one is not good, unless ``keep_failed``.
    """

    places: Sequence[TargetPlace]
    check: CanaryCheck | None = None
    keep_failed: bool = False


@dataclass
class Publishing:
    """One release on its way to several places."""

    work: Work
    wanted: Publication
    _before: dict[str, TemplateState | None] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def go(self, places: Sequence[TargetPlace], canaries: Canaries | None = None) -> list[TargetResult]:
        """The result of each place: canaries first, then the others, each in their order.

        No place depends on another one, except for the canaries.
        """
        if canaries is None:
            return self._publish(places)
        first = self._judged(self._publish(canaries.places), canaries)
        rest = [place for place in places if place not in canaries.places]
        if self.work.interrupted or not all(one.good for one in first):
            why = "interrupted" if self.work.interrupted else "a canary is not good"
            return first + [TargetResult(target=one.name, status="not started", message=why) for one in rest]
        return first + self._publish(rest)

    def _publish(self, places: Sequence[TargetPlace]) -> list[TargetResult]:
        return self.work.each(places, "publish", TargetResult, self._one)

    def _one(self, place: TargetPlace, attempt: Attempt) -> TargetResult:
        attempt.enter("open", "connecting")
        with place.open() as target:
            done, before = publish_to(target, self.wanted, attempt)
        with self._lock:
            self._before[place.name] = before
        return done

    def _judged(self, results: list[TargetResult], canaries: Canaries) -> list[TargetResult]:
        """The canaries' results after their check; those that were switched go back if one is bad."""
        if canaries.check is not None and all(one.good for one in results) and not self.work.interrupted:
            results = self._checked(results, canaries.places, canaries.check)
        if all(one.good for one in results) or self.work.interrupted or canaries.keep_failed:
            return results
        switched = {one.target: one for one in results if one.version == self._version and one.previous != one.version}
        back = [place for place in canaries.places if place.name in switched]
        undone = {one.target: one for one in self.work.each(back, "rollback", TargetResult, self._undo)}
        return [_after_undoing(one, undone[one.target]) if one.target in undone else one for one in results]

    def _checked(
        self, results: Sequence[TargetResult], places: Sequence[TargetPlace], check: CanaryCheck
    ) -> list[TargetResult]:
        def one(place: TargetPlace, attempt: Attempt) -> TargetResult:
            attempt.enter("canary check")
            check(place, self.wanted.release)
            return TargetResult(**attempt.values("checked"))

        found = self.work.each(places, "canary", TargetResult, one)
        return [done if judged.good else _bad(done, judged) for done, judged in zip(results, found, strict=True)]

    def _undo(self, place: TargetPlace, attempt: Attempt) -> TargetResult:
        before = self._before[place.name]
        if before is None:
            raise ImageBuildError(f"it stays current, because {place.name} had no version before")
        attempt.enter("roll back", "rolling back")
        with place.open() as target:
            undo(target, before, self._version, attempt)
        attempt.version = before.current
        return TargetResult(**attempt.values("rolled back"))

    @property
    def _version(self) -> str:
        return self.wanted.version.version


def _bad(done: TargetResult, judged: TargetResult) -> TargetResult:
    """The result of a canary that was published to and is not good."""
    seconds = done.seconds + judged.seconds
    return replace(judged, version=done.version, previous=done.previous, sent=done.sent, seconds=seconds, exit_code=1)


def _after_undoing(done: TargetResult, undone: TargetResult) -> TargetResult:
    """The result of a canary that was rolled back, or could not be."""
    why = done.message or "another canary is not good"
    if undone.status != "rolled back":
        return replace(done, status=undone.status, phase="roll back", message=f"{why}; {undone.message}", exit_code=1)
    return replace(done, status="rolled back", version=undone.version, previous=done.version, message=why)
