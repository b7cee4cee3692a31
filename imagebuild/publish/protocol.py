"""The protocol of a place that templates are published to: a libvirt host, a folder, object storage.

Publishing calls, in this order: ``lock``, ``state``; for each file ``send`` and then ``digest``, which
reads back what is stored; ``switch``. Rollback and pruning use the same methods.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from imagebuild.publish.release import ReleaseFile
from imagebuild.publish.state import StoredFile, TemplateState

Progress = Callable[[int, int], None]
"""Called with the bytes that are already there and those that will be."""


class TemplateTarget(Protocol):
    """One place. Each method raises HostError for a place that cannot be used, with one sentence."""

    name: str
    """As in the project's file and on the command line."""

    def lock(self) -> AbstractContextManager[None]:
        """Exclude other publishers from this place; raises HostError if one is at work for too long."""

    def templates(self) -> list[str]:
        """The names of the templates that have a record here."""

    def state(self, template: str) -> TemplateState | None:
        """The record of a template; None if it was never published here. Raises RecordError."""

    def stored(self) -> Mapping[str, int]:
        """All files here whose names are those of published files, with their sizes in bytes,
        complete or not.
        """

    def send(self, file: ReleaseFile, template: TemplateState | None, progress: Progress) -> int:
        """Make the file complete here, and return how many bytes crossed the network.

        A part that an earlier call left is used again if it is right; a complete file is kept as it
        is. What is here under the name is never taken as right because of its name or size: ``digest``
        decides. ``template`` is the record, whose versions may spare sending parts.
        """

    def digest(self, file: StoredFile, progress: Progress) -> str:
        """The SHA-256 of what is stored under the file's name, in hexadecimal, read back from the
        storage; empty if there is no such file.
        """

    def switch(self, state: TemplateState) -> None:
        """Replace the record of a template, atomically: readers see the old one or this one."""

    def used(self, state: TemplateState) -> Mapping[str, str]:
        """The files of this template that something here still uses, each with what uses it."""

    def remove(self, file: str) -> None:
        """Remove a file that has a published file's name, or what is left of it; no error if absent."""
