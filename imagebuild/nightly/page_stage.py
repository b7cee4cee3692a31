"""The page of a nightly run: written again only if something that it shows has changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from imagebuild import fingerprint
from imagebuild.nightly.journal import ImageMemory, NightlyJournal
from imagebuild.printable import counted
from imagebuild.progress import Reporter
from imagebuild.project.nightly import NightlyPage
from imagebuild.store.artifact import MANIFEST, UNLISTED, ArtifactFolder
from imagebuild.store.history import History
from imagebuild.store.store import Store

if TYPE_CHECKING:
    from imagebuild.page.facts import KnownOutcome

_INDEX = "index.html"


@dataclass(frozen=True)
class PageStage:
    """The page of all artifacts in ``output``."""

    output: Path
    destination: Path
    config: NightlyPage
    journal: NightlyJournal
    store: Store
    reporter: Reporter

    def write(self, *, built: bool) -> str:
        """Write the page, if anything has changed or was built; returns what it shows.

        Raises ImageBuildError and OSError.
        """
        memories = self.journal.images()
        key = self._key(memories)
        if not built and key == self.journal.page_key and (self.destination / _INDEX).exists():
            return ""
        if not any(ArtifactFolder(self.output, path.name).versions() for path in self._folders()):
            return "nothing to show yet"
        from imagebuild.page.writing import write_page  # most nights write no page

        self.destination.parent.mkdir(parents=True, exist_ok=True)
        done = write_page(
            self.output,
            self.destination,
            title=self.config.title,
            base_url=self.config.url,
            history=History(self.store),
            downloads=self.config.downloads,
            outcomes=outcomes(memories),
            reporter=self.reporter,
        )
        self.journal.page_written(key)
        return f"{counted(done.images, 'image')}, {counted(done.versions, 'version')}"

    def _folders(self) -> list[Path]:
        return sorted(path for path in self.output.glob("[!.]*") if path.is_dir() and not path.is_symlink())

    def _key(self, memories: Mapping[str, ImageMemory]) -> str:
        """What identifies all that the page shows, without reading it: names and times of files."""
        versions = [one for path in self._folders() for one in ArtifactFolder(self.output, path.name).versions()]
        files = [
            (one.recipe, one.version, name, _changed(one.folder / name))
            for one in versions
            for name in sorted((MANIFEST, *UNLISTED))
        ]
        told = [(name, str((one.passed, one.refused, one.published))) for name, one in sorted(memories.items())]
        options = self.config.model_dump(mode="json")
        return fingerprint.text(json.dumps([str(self.destination), options, files, told]))


def outcomes(images: Mapping[str, ImageMemory]) -> dict[tuple[str, str], KnownOutcome]:
    """What the journal knows about versions, by image and version."""
    from imagebuild.page.facts import KnownOutcome  # most nights write no page

    found = {}
    for name, memory in images.items():
        versions = {*memory.passed, *memory.refused, *memory.published.values()}
        for version in versions:
            places = tuple(key.split(" ")[0] for key, there in memory.published.items() if there == version)
            gates = "failed" if version in memory.refused else "passed" if version in memory.passed else ""
            found[name, version] = KnownOutcome(gates=gates, fired=memory.refused.get(version, ()), published=places)
    return found


def _changed(path: Path) -> int:
    try:
        return path.lstat().st_mtime_ns
    except OSError:
        return 0
