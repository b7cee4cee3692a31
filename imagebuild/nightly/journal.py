"""What a nightly run remembers from one night to the next, below the folder for artifacts.

    OUTPUT/.nightly/lock            held while a run is at work
    OUTPUT/.nightly/images/IMAGE.json    what has been done with the versions of an image
    OUTPUT/.nightly/results.json    the last result of each image, of runs that came to their end
    OUTPUT/.nightly/collect         the store has not been pruned since something was built
    OUTPUT/.nightly/page            what the page was written from

Each stage is recorded when it is complete, so a run that was killed is continued by the next one. A
record that is lost or damaged costs only time: the stages look at what is there, and do it again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from imagebuild.errors import HostError, from_os
from imagebuild.files import read_record, remove_unfinished, write_atomically, write_record
from imagebuild.host import locks
from imagebuild.log import logger
from imagebuild.nightly.outcome import NightlyImageResult

FOLDER = ".nightly"
_LOCK, _COLLECT, _RESULTS, _PAGE = "lock", "collect", "results.json", "page"
Record = TypeVar("Record")


@dataclass(frozen=True)
class Judgement:
    """What the gates said about a version, compared with ``against`` (empty for the first version).

    ``fired`` are pairs of a gate and its message; ``accepted`` says that somebody accepted them.
    """

    version: str
    against: str
    gates: tuple[str, ...]
    fired: tuple[tuple[str, str], ...] = ()
    differences: tuple[str, ...] = ()
    accepted: bool = False

    @property
    def passed(self) -> bool:
        """Whether the version may become the good one."""
        return self.accepted or not self.fired


@dataclass(frozen=True)
class ImageMemory:
    """What has been done with the versions of an image.

    ``signed`` identifies the version that was signed, and the keys, ``signature`` the version and what was
    written; ``published`` has the version at each target, by name and address; ``pruned`` is the version
    after which old ones were removed at the targets.
    ``refused`` has the messages of the gates for each version that they refused, ``passed`` the others.
    """

    judgement: Judgement | None = None
    signed: str = ""
    signature: str = ""
    published: Mapping[str, str] = field(default_factory=dict)
    pruned: str = ""
    refused: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    passed: tuple[str, ...] = ()


@dataclass(frozen=True)
class LastResults:
    """The last result of each image, by name. They are in one file, so that a run has ended for all or none."""

    images: Mapping[str, NightlyImageResult] = field(default_factory=dict)


class NightlyJournal:
    """The records of one folder for artifacts."""

    def __init__(self, output: Path) -> None:
        self._output = output
        self.folder = output / FOLDER
        self._images = self.folder / "images"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the lock of this folder. Raises HostError if another run holds it."""
        try:
            self._images.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise from_os(error, str(self.folder)) from error
        try:
            if not locks.free(descriptor):
                holder = os.pread(descriptor, 100, 0).decode(errors="replace").strip()
                who = f" ({holder})" if holder else ""
                raise HostError(f"another nightly run is at work in {self._output}{who}", "wait until it has ended")
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"process {os.getpid()}, since {datetime.now(UTC):%Y-%m-%d %H:%M} UTC\n".encode())
            self._clear()
            yield
        finally:
            os.close(descriptor)

    def read(self, image: str) -> ImageMemory:
        """What is remembered of an image."""
        return _read(self._path(image), ImageMemory)

    def write(self, image: str, memory: ImageMemory) -> None:
        """Remember it. Raises OSError."""
        write_record(self._path(image), memory)

    def change(self, image: str, **changes: object) -> ImageMemory:
        """Change some fields, and return the whole. Raises OSError."""
        memory = replace(self.read(image), **changes)  # type: ignore[arg-type]
        self.write(image, memory)
        return memory

    def last(self) -> Mapping[str, NightlyImageResult]:
        """The last results of all images whose artifacts are there."""
        found = _read(self.folder / _RESULTS, LastResults).images
        return {name: one for name, one in found.items() if (self._output / name).is_dir()}

    def end(self, results: Mapping[str, NightlyImageResult]) -> None:
        """Remember how a run ended, for these images. Raises OSError."""
        write_record(self.folder / _RESULTS, LastResults({**self.last(), **results}))

    @property
    def to_collect(self) -> bool:
        """Whether the store has not been pruned since something was built."""
        return (self.folder / _COLLECT).exists()

    def will_build(self) -> None:
        """Remember that the store is to be pruned. Raises OSError."""
        (self.folder / _COLLECT).touch()

    def collected(self) -> None:
        """Remember that the store has been pruned."""
        (self.folder / _COLLECT).unlink(missing_ok=True)

    @property
    def page_key(self) -> str:
        """What identifies that which the page was written from; empty if that is not known."""
        try:
            return (self.folder / _PAGE).read_text(encoding="utf-8")
        except (OSError, ValueError):
            return ""

    def page_written(self, key: str) -> None:
        """Remember what the page was written from. Raises OSError."""
        write_atomically(self.folder / _PAGE, key)

    def images(self) -> Mapping[str, ImageMemory]:
        """What is remembered of all images."""
        names = sorted(path.name.removesuffix(".json") for path in self._images.glob("[!.]*.json"))
        return {name: self.read(name) for name in names}

    def _path(self, image: str) -> Path:
        return self._images / f"{image}.json"

    def _clear(self) -> None:
        """Remove what a killed run was writing: nobody else writes here."""
        remove_unfinished(self.folder, _RESULTS, _PAGE)
        remove_unfinished(self._images, "*.json")


def _read(path: Path, kind: type[Record]) -> Record:
    """A record; an empty one if there is none that can be used."""
    try:
        return read_record(path, kind)
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        logger.warning("%s cannot be used: %s", path, error)
    return kind()
