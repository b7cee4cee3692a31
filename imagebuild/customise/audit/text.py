"""Reading what may be anything: an audit does not end because of one file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

_MOST = 256 << 10
"""Bytes of the largest file that is read for a setting in it."""


def text_of(guest: Guest, path: str) -> str:
    """A file's text; nothing if it is not there, cannot be read, or is too large to be what is looked for."""
    try:
        real = guest.real_file(path)
        return guest.read(real, _MOST) if real and guest.size(real) <= _MOST else ""
    except GuestError:
        return ""
