"""How long a download may take, how large it may get, and the faults that it may meet."""

from __future__ import annotations

import re
from dataclasses import dataclass

from imagebuild.errors import HostError

MIB = 1 << 20
BLOCK = 1 << 16
"""Bytes that are read at once."""


@dataclass(frozen=True)
class Limits:
    """Seconds to wait: for a connection, for the next bytes, before the next attempt (doubled each time), for everything.

    A server that sends fewer than ``slowest`` bytes in ``window`` seconds counts as stalled. ``attempts`` is how many
    attempts in a row may fail to get further than all before them, ``most`` how many there are altogether.
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
"""For a look at what a server has: somebody waits for the answer."""


class NotThere(HostError):
    """The server has no such file."""


class Passing(Exception):
    """A fault that another attempt may get over; ``wait`` is what the server asked for, in seconds."""

    def __init__(self, why: str, wait: float = 0.0) -> None:
        super().__init__(why)
        self.why, self.wait = why, wait


class Cut(Passing):
    """The connection ended before the answer did."""


def shown(url: str) -> str:
    """An address as messages show it, without the secrets in it: user and password, and what follows the ``?``."""
    place, query, _ = url.partition("#")[0].partition("?")
    return re.sub(r"^([a-z][a-z0-9+.-]*://)[^/]*@", r"\1", place, flags=re.IGNORECASE) + ("?…" if query else "")
