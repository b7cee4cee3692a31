"""Reading files of any kind: an audit does not end because of one file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

_MOST = 256 << 10
"""The size in bytes up to which a file is read for a setting in it."""


def text_of(guest: Guest, path: str) -> str:
    """The text of a file; empty if the file does not exist, cannot be read, or is too large to be
    the expected one."""
    try:
        real = guest.real_file(path)
        return guest.read(real, _MOST) if real and guest.size(real) <= _MOST else ""
    except GuestError:
        return ""
