"""What ``rebuild --json`` prints at its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from imagebuild.events import JsonLine
from imagebuild.reproduce.differences import Difference
from imagebuild.reproduce.obstacles import Obstacle


@dataclass(frozen=True, kw_only=True)
class RebuildPlanned(JsonLine):
    """What ``rebuild --dry-run`` finds: what cannot be the same."""

    event: Literal["rebuild_planned"] = "rebuild_planned"
    manifest: str
    recipe: str
    obstacles: tuple[Obstacle, ...]


@dataclass(frozen=True, kw_only=True)
class ImageRebuilt(JsonLine):
    """A rebuild and how it differs from the original. ``identical`` if both images have the same bytes.

    ``obstacles`` was known before the build. A difference with an empty ``reason`` is not expected;
    ``unexpected`` is the number of these.
    """

    event: Literal["rebuilt"] = "rebuilt"
    manifest: str
    recipe: str
    original: str
    version: str
    image: str
    identical: bool
    obstacles: tuple[Obstacle, ...]
    differences: tuple[Difference, ...]
    unexpected: int
