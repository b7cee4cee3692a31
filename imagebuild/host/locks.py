"""Locks on files and folders by flock(2), released when their process ends. No other module of the
package locks.

A lock is on an open file, not on a name: after waiting for one, use ``is_still`` to check that the
name still refers to the same file.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def exclusive(descriptor: int) -> None:
    """Take an exclusive lock on the open file; waits until nobody else has a lock on it."""
    fcntl.flock(descriptor, fcntl.LOCK_EX)


def shared(descriptor: int) -> None:
    """Take a shared lock on the open file; waits until nobody has an exclusive lock on it."""
    fcntl.flock(descriptor, fcntl.LOCK_SH)


def free(descriptor: int) -> bool:
    """Try to take an exclusive lock on the open file. False if somebody else has a lock on it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_still(descriptor: int, path: Path) -> bool:
    """Whether the open file is the one at ``path``; a symbolic link there is not followed."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False
