"""Locks on files and folders that end with their process, by flock(2). Nothing else in the package asks for one.

A lock is on what is open, not on a name: who has waited for one asks with ``is_still`` whether the name means the same file yet.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def exclusive(descriptor: int) -> None:
    """Lock what is open against everybody else, and wait for as long as somebody has a lock on it."""
    fcntl.flock(descriptor, fcntl.LOCK_EX)


def shared(descriptor: int) -> None:
    """Lock what is open against those who want it for themselves, and wait for as long as one of these has it."""
    fcntl.flock(descriptor, fcntl.LOCK_SH)


def free(descriptor: int) -> bool:
    """Whether nobody had a lock on what is open. If so, it is locked now."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_still(descriptor: int, path: Path) -> bool:
    """Whether what is open is what is at ``path``; a symbolic link there is not followed."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False
