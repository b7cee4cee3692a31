"""The record of a template as a file beside the published ones: ``<template>.json``. Pure."""

from __future__ import annotations

from imagebuild.errors import HostError, UsageError
from imagebuild.printable import one_line
from imagebuild.publish import names
from imagebuild.publish.state import TOO_LARGE, RecordError, TemplateState, decoded, encoded, unusable

LOCK = ".imagebuild.lock"
"""No template has a name that begins with a dot."""
PART = ".part"
"""Appended to the name of a file that is not complete."""
_SUFFIX = ".json"


def record_name(template: str) -> str:
    """The name of a template's record. Raises UsageError for what is no template's name."""
    return names.checked(template) + _SUFFIX


def template_of(name: str) -> str | None:
    """The template whose record has this name; None if it is not the name of a record."""
    try:
        return names.checked(name.removesuffix(_SUFFIX)) if name.endswith(_SUFFIX) else None
    except UsageError:
        return None


def published_name(name: str) -> str:
    """The name of the published file that this one is, or is a part of; empty for other files."""
    whole = name.removesuffix(PART)
    return whole if names.parsed(whole) else ""


def checked_file(name: str) -> str:
    """``name`` if it is that of a published file. Raises UsageError."""
    if names.parsed(name) is None:
        raise UsageError(f"{one_line(name)!r} is not the name of a published file")
    return name


class Records:
    """The records as this process last read or wrote them, so that no change of somebody else is
    overwritten. ``place`` is the target's name, ``folder`` the path or URL of what the records are in,
    for messages.
    """

    def __init__(self, place: str, folder: str = "") -> None:
        self._place = place
        self._folder = (folder or place).rstrip("/")
        self._seen: dict[str, bytes | None] = {}

    def file(self, template: str) -> str:
        """Where the record of a template is, for messages."""
        return one_line(f"{self._folder}/{record_name(template)}")

    def too_large(self, template: str) -> RecordError:
        """The error for a record that is too large to be read."""
        return unusable(template, self.file(template), TOO_LARGE)

    def read(self, template: str, content: bytes | None) -> TemplateState | None:
        """The record in ``content``, which is now there; None if there is none. Raises RecordError."""
        self._seen[template] = content
        return None if content is None else decoded(content, template, self.file(template))

    def check(self, template: str, content: bytes | None) -> None:
        """Raises HostError if ``content``, which is now there, is not what was there last."""
        if template in self._seen and self._seen[template] != content:
            raise HostError(
                f"the record of the template {template} at {self._place} was changed by somebody else meanwhile",
                "nothing was switched; run the command again",
            )

    def written(self, state: TemplateState) -> bytes:
        """The bytes of a record that is about to replace the one that is there."""
        return encoded(state).encode("ascii") + b"\n"

    def now(self, template: str, content: bytes) -> None:
        """``content`` is now there."""
        self._seen[template] = content
