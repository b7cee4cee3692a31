"""Builds the images of a nightly run on a farm, where the project says so."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from imagebuild.build.scheduler import Outcome
from imagebuild.farm.order import PlannedBuild
from imagebuild.farm.session import FarmSession
from imagebuild.nightly.building import Building, NightlyBuilds, PlannedImage


def on_farm(session: FarmSession) -> Building:
    """The way of building that ``NightlyRun`` needs, on the workers of a farm."""

    def build(planned: Sequence[PlannedImage], builds: NightlyBuilds, ended: Callable[[Outcome], None]) -> None:
        wanted = [
            PlannedBuild(one.outlook, builds.of(one.wanted), one.wanted.given)
            for one in planned
            if one.outlook is not None
        ]
        session.build(wanted, builds.settings, builds.reporter, ended)

    return build
