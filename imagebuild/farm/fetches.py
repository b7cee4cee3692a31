"""Fetches artifacts while the farm goes on: builds are handed out, however long that takes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from imagebuild.ledger.claims import LedgerBuild
from imagebuild.store.artifact import Artifact

_AT_ONCE = 4


@dataclass(frozen=True)
class FetchedArtifact:
    """An artifact that was fetched; None if it is no longer in the shared store, or if there was an error."""

    artifact: Artifact | None
    error: Exception | None = None


class ArtifactFetches:
    """Calls ``fetch`` in threads, a few at a time. They do not keep the program from ending: who fetches
    again goes on where it was interrupted.
    """

    def __init__(self, fetch: Callable[[LedgerBuild], Artifact | None]) -> None:
        self._fetch = fetch
        self._running: set[int] = set()
        self._ended: dict[int, FetchedArtifact] = {}
        self._lock = threading.Lock()

    @property
    def busy(self) -> bool:
        """Whether anything is being fetched."""
        return bool(self._running)

    def result(self, build: LedgerBuild) -> FetchedArtifact | None:
        """What came of fetching the artifact of a build that is done; it is returned once. None if that
        has not ended: it begins as soon as there are not too many.
        """
        with self._lock:
            if build.id in self._ended:
                return self._ended.pop(build.id)
            if build.id not in self._running and len(self._running) < _AT_ONCE:
                self._running.add(build.id)
                threading.Thread(target=self._work, args=(build,), daemon=True, name="farm-fetch").start()
            return None

    def _work(self, build: LedgerBuild) -> None:
        try:
            found = FetchedArtifact(self._fetch(build))
        except Exception as error:  # noqa: BLE001 - whoever asks for the result raises it
            found = FetchedArtifact(None, error)
        with self._lock:
            self._ended[build.id] = found
            self._running.discard(build.id)
