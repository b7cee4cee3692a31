"""How long a download may wait, and the faults that it may meet."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from imagebuild.errors import HostError

BLOCK = 1 << 16
"""Bytes that are read at once."""


@dataclass(frozen=True)
class Limits:
    """Seconds to wait: for a connection, for the next bytes, before the next attempt (doubled each time).

    A server that sends fewer than ``slowest`` bytes in ``window`` seconds counts as stalled. ``attempts`` are those
    that bring nothing: where a download gets on, there is no limit to them.
    """

    connect: float = 15.0
    read: float = 30.0
    window: float = 60.0
    slowest: int = BLOCK
    pause: float = 1.0
    attempts: int = 5


LIMITS = Limits()


class NotThere(HostError):
    """The server has no such file."""


class Passing(Exception):
    """A fault that another attempt may get over; ``wait`` is what the server asked for, in seconds."""

    def __init__(self, why: str, wait: float = 0.0) -> None:
        super().__init__(why)
        self.why, self.wait = why, wait


def shown(url: str) -> str:
    """An address as messages show it: what stands behind the ? may be a token."""
    parts = urlsplit(url)
    return parts._replace(query="…" if parts.query else "", fragment="").geturl()
