"""What the pages show about a version of an image. All texts are as the artifact has them: nothing is
safe to print or to put into HTML as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imagebuild.contents.described import DescribedImage
from imagebuild.contents.difference import ListedChanges
from imagebuild.contents.inventory import FolderSize, Inventory


@dataclass(frozen=True, kw_only=True)
class KnownOutcome:
    """What others know about a version: the result of its gates, and where it was published. ``gates``
    is passed, failed, or empty for not known; ``fired`` are the messages of gates that failed.
    """

    gates: str = ""
    fired: tuple[str, ...] = ()
    published: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class VersionRow:
    """What lists, plots and the feed show. Sizes are in bytes, times in seconds; ``built`` is ISO 8601
    in UTC, or empty. ``verdict`` is passed, failed or empty; ``signed`` names the kinds of signatures
    that are there, which nobody has checked. ``why`` says why an artifact cannot be read.
    """

    image: str
    version: str
    description: str = ""
    system: str = ""
    built: str = ""
    size: int | None = None
    virtual_size: int | None = None
    sha256: str = ""
    packages: int | None = None
    build_seconds: float | None = None
    boot_seconds: float | None = None
    accelerator: str = ""
    verdict: str = ""
    checks_passed: int = 0
    checks_failed: int = 0
    signed: tuple[str, ...] = ()
    sbom: bool = False
    changes: str = ""
    why: str = ""

    @property
    def path(self) -> str:
        """Its folder below that of the whole page."""
        return f"images/{self.image}/{self.version}"


@dataclass(frozen=True)
class StepTime:
    """A step of the build; ``seconds`` is None if its result was already in the store."""

    name: str
    seconds: float | None


@dataclass(frozen=True)
class CheckOutcome:
    """What a check of the verification found; ``seconds`` is None if it took no time of its own."""

    name: str
    status: str
    messages: tuple[str, ...]
    seconds: float | None


@dataclass(frozen=True)
class Download:
    """A file in the artifact's folder. ``sha256`` is from SHA256SUMS, and empty if that does not name
    the file; ``refused`` says why it is not offered.
    """

    path: Path
    what: str
    size: int
    sha256: str
    refused: str = ""

    @property
    def name(self) -> str:
        """The name of the file, which is also that of its copy or link."""
        return self.path.name


@dataclass(frozen=True)
class Screenshot:
    """A PNG picture with its size in pixels."""

    content: bytes
    width: int
    height: int


@dataclass(frozen=True, kw_only=True)
class VersionDetails:
    """What the page of a version shows in addition to its row. ``image`` is None if there is no
    inventory that can be used, and ``notes`` say why; ``changes`` is None if the version before is not
    known.
    """

    row: VersionRow
    image: DescribedImage | None = None
    packages: Sequence[tuple[str, str]] = ()
    changes: Sequence[ListedChanges] | None = None
    growth: Sequence[tuple[str, str, str, str]] = ()
    folders: Sequence[FolderSize] = ()
    steps: Sequence[StepTime] = ()
    checks: Sequence[CheckOutcome] = ()
    downloads: Sequence[Download] = ()
    screenshot: Screenshot | None = None
    tools: Sequence[tuple[str, str]] = ()
    fingerprint: str = ""
    notes: tuple[str, ...] = ()

    @property
    def inventory(self) -> Inventory | None:
        """What is in the image."""
        return None if self.image is None else self.image.inventory
