"""The results of customising a disk, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import TypeAdapter

Status = Literal["changed", "nothing to do", "not applicable", "incomplete"]


@dataclass(frozen=True)
class Change:
    """One thing that was changed in a guest; ``diff`` is a unified diff of a text, if differences
    are requested.

    ``carried`` says whether something machine-specific was there: it is false if a change only adds
    something or tidies up.
    """

    path: str
    what: str
    diff: str = ""
    carried: bool = True


@dataclass(frozen=True)
class OperationResult:
    """What one operation did; ``reason`` says why it was not applicable, ``seconds`` how long it
    took.

    ``failed`` contains what could not be done, with the reason as the ``what`` of each; the
    operation is then incomplete. ``left`` is what it found but could not change, with the reason.
    """

    name: str
    status: Status
    reason: str
    changes: tuple[Change, ...]
    seconds: float
    failed: tuple[Change, ...] = ()
    left: tuple[Change, ...] = ()


@dataclass(frozen=True)
class CustomiseResult:
    """What all operations did, in the order they ran, and the guest's packages (name to version).

    ``password_hashes`` is whether the guest contains any at the end; None if this was not checked.
    """

    operations: tuple[OperationResult, ...]
    packages: dict[str, str]
    password_hashes: bool | None = None

    @property
    def changed_paths(self) -> int:
        """How many files, links and folders were changed."""
        return len({change.path for one in self.operations for change in one.changes})

    @property
    def failed(self) -> tuple[Change, ...]:
        """What the operations could not do; everything else is done."""
        return tuple(change for one in self.operations for change in one.failed)


RESULT = TypeAdapter(CustomiseResult)
RESULTS = TypeAdapter(tuple[OperationResult, ...])
"""Conversion to and from JSON."""
