"""What customising a disk did, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import TypeAdapter

from imagebuild.customise.files import Change

Status = Literal["changed", "nothing to do", "not applicable"]


@dataclass(frozen=True)
class OperationResult:
    """What one operation did; ``reason`` says why it was not applicable, ``seconds`` how long it took.

    ``left`` is what it found and could do nothing about, with the reason.
    """

    name: str
    status: Status
    reason: str
    changes: tuple[Change, ...]
    seconds: float
    left: tuple[Change, ...] = ()


@dataclass(frozen=True)
class CustomiseResult:
    """What all operations did, in the order they ran, and the guest's packages (name to version)."""

    operations: tuple[OperationResult, ...]
    packages: dict[str, str]

    @property
    def changed_paths(self) -> int:
        """How many files, links and folders were changed."""
        return len({change.path for one in self.operations for change in one.changes})


RESULT = TypeAdapter(CustomiseResult)
RESULTS = TypeAdapter(tuple[OperationResult, ...])
"""To and from JSON."""
