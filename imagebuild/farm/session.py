"""One order on a farm, from the images that are out of date to their outcomes."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from imagebuild.build.scheduler import Outcome
from imagebuild.build.step_cache import Settings
from imagebuild.farm import bundle, software
from imagebuild.farm.cluster import FarmCluster, connected
from imagebuild.farm.coordinator import FarmBuilds
from imagebuild.farm.crew import Crew
from imagebuild.farm.order import PlannedBuild, images_of
from imagebuild.farm.settings import FarmPlace
from imagebuild.farm.shared import opened
from imagebuild.ledger.address import LedgerAddress
from imagebuild.ledger.ledger import Ledger
from imagebuild.progress import Reporter

_FARM = "farm"
"""What notes are about that concern no image."""


@dataclass(frozen=True)
class FarmSession:
    """Where and how to order: ``root`` is the project's folder; ``patience`` is how many seconds a
    build waits for a worker that can do it; ``labels`` are those that a worker must have for an image.
    """

    place: FarmPlace
    ledger: LedgerAddress
    root: Path
    tries: int
    patience: float
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def build(
        self,
        planned: Sequence[PlannedBuild],
        settings: Settings,
        reporter: Reporter,
        ended: Callable[[Outcome], None],
    ) -> list[Outcome]:
        """Build images on the farm; ``ended`` is called with each outcome. Raises ImageBuildError."""
        if not planned:
            return []
        with (
            closing(opened(settings.store, settings.remote)) as shared,
            self._ledger() as ledger,
            connected(self.place, secrets.token_hex(6)) as cluster,
        ):
            images = images_of(planned, shared, self.root, self.labels)
            files = bundle.packed([one.recipe for one in images], self.root)
            _greet(cluster, reporter)

            def tell(text: str) -> None:
                reporter.note(_FARM, text)

            return FarmBuilds(
                images,
                settings,
                cluster,
                ledger,
                shared,
                Crew(software.installed(settings.store), ledger.id, shared.identity, tell),
                files,
                reporter,
                ended,
                self.patience,
                self.tries,
            ).go()

    @contextmanager
    def _ledger(self) -> Iterator[Ledger]:
        ledger = Ledger(self.ledger)
        try:
            yield ledger
        finally:
            ledger.close()


def _greet(cluster: FarmCluster, reporter: Reporter) -> None:
    if cluster.dashboard:
        reporter.note(_FARM, f"dashboard: {cluster.dashboard}")
