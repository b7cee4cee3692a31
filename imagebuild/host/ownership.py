"""Checks the ownership of files and folders that this process relies on: they must belong to its
user.
"""

from __future__ import annotations

import os
import stat

_OF_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def why_not_private(status: os.stat_result) -> str | None:
    """Why another user may have made, read or written this file or folder; None if nobody else
    could.
    """
    return _why_not_own(status, _OF_OTHERS, "open to")


def why_not_own(status: os.stat_result) -> str | None:
    """Why another user may have made or written this file or folder; None if nobody else could."""
    return _why_not_own(status, _WRITABLE_BY_OTHERS, "writable by")


def _why_not_own(status: os.stat_result, bits: int, how: str) -> str | None:
    if status.st_uid != os.geteuid():
        return f"belongs to user {status.st_uid}, not to user {os.geteuid()}"
    if status.st_mode & bits:
        return f"is {how} other users (mode {stat.S_IMODE(status.st_mode):04o})"
    return None
