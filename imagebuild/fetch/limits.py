"""The limits of downloads, and the faults that can occur."""

from __future__ import annotations

import re
from dataclasses import dataclass

from imagebuild.errors import HostError

MIB = 1 << 20
BLOCK = 1 << 16
"""Bytes per read."""


@dataclass(frozen=True)
class Limits:
    """Timeouts in seconds: for a connection, for the next bytes, before a retry (doubled each
    time), in total.

    A server that sends fewer than ``slowest`` bytes in ``window`` seconds counts as stalled.
    ``attempts`` is the number of consecutive attempts that may fail without progress, ``most`` the
    total number.
    """

    connect: float = 15.0
    read: float = 30.0
    window: float = 60.0
    slowest: int = BLOCK
    pause: float = 1.0
    attempts: int = 5
    most: int = 100
    total: float = 24 * 3600.0


LIMITS = Limits()
LOOK = Limits(attempts=3, total=600.0)
"""For queries, whose answer somebody waits for."""


class NotThere(HostError):
    """The server has no such file."""


class Passing(Exception):
    """A fault that another attempt may overcome; ``wait`` is the delay that the server requested,
    in seconds.
    """

    def __init__(self, why: str, wait: float = 0.0) -> None:
        super().__init__(why)
        self.why, self.wait = why, wait


class Cut(Passing):
    """The connection ended before the answer did."""


def shown(url: str) -> str:
    """An address for messages, without secrets: user, password, and everything after the ``?``."""
    place, query, _ = url.partition("#")[0].partition("?")
    return re.sub(r"^([a-z][a-z0-9+.-]*://)[^/]*@", r"\1", place, flags=re.IGNORECASE) + ("?…" if query else "")
