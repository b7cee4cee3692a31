"""What publishing would do at each target, without doing it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from imagebuild.publish.parallel import Attempt, Work
from imagebuild.publish.places import TargetPlace
from imagebuild.publish.publication import Publication
from imagebuild.publish.results import TargetResult
from imagebuild.publish.transfer import recorded_in, refuse_older


@dataclass(frozen=True, kw_only=True)
class PlannedTarget(TargetResult):
    """What would happen: ``switches`` if another version would become current, ``sends`` has the bytes
    of the files that are not there (less may cross the network), ``versions`` what is there now.
    """

    switches: bool = False
    sends: int = 0
    versions: tuple[str, ...] = ()


def plan(work: Work, places: Sequence[TargetPlace], wanted: Publication) -> list[PlannedTarget]:
    """The plan for each place. Takes no lock, reads no digest and changes nothing."""

    def one(place: TargetPlace, attempt: Attempt) -> PlannedTarget:
        attempt.enter("open", "connecting")
        with place.open() as target:
            attempt.enter("read", "reading the record")
            before = target.state(wanted.release.template)
            attempt.version = attempt.previous = before.current if before else ""
            recorded_in(before, wanted, target.name)
            refuse_older(before, wanted, target.name)
            stored = target.stored()
        missing = [one.stored for one in wanted.release.files if stored.get(one.stored.name) != one.stored.size]
        return PlannedTarget(
            **attempt.values("planned") | {"phase": ""},
            switches=before is None or before.current != wanted.version.version,
            sends=sum(one.size for one in missing),
            versions=tuple(one.version for one in before.versions) if before else (),
        )

    return work.each(places, "plan", PlannedTarget, one)
