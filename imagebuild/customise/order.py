"""What the process that customises a disk is asked to do, as JSON on its standard input."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from pydantic import TypeAdapter

from imagebuild.customise.host_inputs import Supplies
from imagebuild.guest import Key
from imagebuild.image.disk_image import Format
from imagebuild.schema.customised import OperationResult

Task = Literal["customise", "differences", "audit", "inspect", "digest"]
"""Apply the operations; apply them and report the differences of texts; or only look: what scrubbing
would find, or what is there."""


@dataclass(frozen=True)
class Order:
    """The disks and what to do with them.

    ``operations`` have their names, their parameters as JSON, and their host inputs; ``before`` is
    what was done to the disks already; ``checkpoints`` is the folder for copies of the disks worth
    keeping, or empty. ``stuck_after`` is in seconds; 0 is no limit.

    ``inventories`` are the files for the guest's inventory, and for those of the ``other_guests``,
    given as their disks; only an inspection has such.
    """

    disk: str
    more: tuple[str, ...]
    fmt: Format
    accel: Literal["kvm", "tcg"]
    network: bool
    tmpdir: str
    operations: tuple[tuple[str, dict[str, Any], Supplies], ...]
    task: Task = "customise"
    keys: tuple[Key, ...] = ()
    before: tuple[OperationResult, ...] = ()
    checkpoints: str = ""
    stuck_after: float = 0.0
    additions: tuple[str, str] | None = None
    """The archive and the description of what is added to the guest first."""
    inventories: tuple[str, ...] = ()
    other_guests: tuple[tuple[str, ...], ...] = ()


@cache
def orders() -> TypeAdapter[Order]:
    """Validates what JSON has of an order."""
    return TypeAdapter(Order)
