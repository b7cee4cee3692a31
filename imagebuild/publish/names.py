"""The names of published files: ``<disk>--<version>--<the first 16 digits of its SHA-256>.qcow2``.

The name of a file never changes and never gets other bytes. ``disk`` is the template's name for the
system disk and ``<template>-disk2`` for the second one. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from imagebuild.errors import UsageError

SUFFIX = ".qcow2"
DIGITS = 16
"""Digits of the SHA-256 in a name; the whole digest is in the template's record."""
_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._+]|-(?!-)){0,99}"
_TEMPLATE = re.compile(_PART)
_FILE = re.compile(rf"({_PART})--({_PART})--([0-9a-f]{{{DIGITS}}})\.qcow2")


@dataclass(frozen=True)
class FileName:
    """What the name of a published file says."""

    disk: str
    version: str
    digest: str

    def __str__(self) -> str:
        return f"{self.disk}--{self.version}--{self.digest}{SUFFIX}"


def file_name(disk: str, version: str, sha256: str) -> str:
    """The name of a file with this content (``sha256`` in hexadecimal)."""
    return str(FileName(disk, version, sha256[:DIGITS]))


def parsed(name: str) -> FileName | None:
    """What a name says; None if it is not the name of a published file."""
    found = _FILE.fullmatch(name)
    return FileName(*found.groups()) if found else None


def is_of(name: str, template: str) -> bool:
    """Whether a name is one of a disk of this template."""
    found = parsed(name)
    return (
        found is not None
        and re.fullmatch(rf"{re.escape(template)}(?:-disk[2-9]|-disk[1-9]\d+)?", found.disk) is not None
    )


def checked(name: str, what: str = "template") -> str:
    """``name`` if it may name a template or a version. Raises UsageError."""
    if not _TEMPLATE.fullmatch(name) or name.endswith("-"):
        raise UsageError(
            f"{name!r} is not a valid name of a {what}",
            "use up to 100 letters, digits, '.', '_', '+' and single '-'; the first is a letter or a digit",
        )
    return name
