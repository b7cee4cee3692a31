"""What a nightly run remembers from one night to the next, below the folder for artifacts.

    OUTPUT/.nightly/lock            held while a run is at work
    OUTPUT/.nightly/IMAGE.json      what has been done with the versions of an image
    OUTPUT/.nightly/collect         the store has not been pruned since something was built

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

from imagebuild.errors import HostError, from_os
from imagebuild.files import read_record, write_record
from imagebuild.host import locks
from imagebuild.log import logger
from imagebuild.nightly.outcome import NightlyImageResult

FOLDER = ".nightly"
_LOCK, _COLLECT = "lock", "collect"


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

    ``signed`` identifies the version that was signed, and the keys; ``published`` has the version at each
    target, by name and address; ``pruned`` is the version after which old ones were removed at the targets.
    ``last`` is the result of the last run that came to its end.
    """

    judgement: Judgement | None = None
    signed: str = ""
    published: Mapping[str, str] = field(default_factory=dict)
    pruned: str = ""
    last: NightlyImageResult | None = None


class Journal:
    """The records of one folder for artifacts."""

    def __init__(self, output: Path) -> None:
        self._output = output
        self.folder = output / FOLDER

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the lock of this folder. Raises HostError if another run holds it."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
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
        path = self._path(image)
        try:
            return read_record(path, ImageMemory)
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            logger.warning("%s cannot be used: %s", path, error)
        return ImageMemory()

    def write(self, image: str, memory: ImageMemory) -> None:
        """Remember it. Raises OSError."""
        write_record(self._path(image), memory)

    def change(self, image: str, **changes: object) -> ImageMemory:
        """Change some fields, and return the whole. Raises OSError."""
        memory = replace(self.read(image), **changes)  # type: ignore[arg-type]
        self.write(image, memory)
        return memory

    def others(self, images: frozenset[str]) -> list[NightlyImageResult]:
        """The last results of images that are not among ``images``, as long as their artifacts are there."""
        names = sorted(path.name.removesuffix(".json") for path in self.folder.glob("*.json"))
        there = (self.read(name).last for name in names if name not in images and (self._output / name).is_dir())
        return [one for one in there if one is not None]

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

    def _path(self, image: str) -> Path:
        return self.folder / f"{image}.json"

    def _clear(self) -> None:
        """Remove what a killed run was writing: nobody else writes here."""
        for left in self.folder.glob(".*.json.*"):
            left.unlink(missing_ok=True)
