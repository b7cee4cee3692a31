"""A lock where nothing locks: a small file that says who publishes, renewed while its owner lives.

Whoever finds one that was not renewed for ``LEASE`` seconds by the clock of the place, or whose owner
was a process of this machine that has ended, may take it over.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from imagebuild.errors import HostError, ImageBuildError
from imagebuild.log import logger
from imagebuild.printable import one_line

LEASE = 120
"""Seconds for which a lock is valid after it was last renewed."""
RENEWAL = 20.0
"""Seconds between two renewals."""
POLL = 1.0
PATIENCE = LEASE + 30.0
"""Seconds to wait for a lock by default: longer than one lasts that nobody renews."""
LARGEST_LOCK = 4096
_alive: set[str] = set()
"""The tokens of this process that are in use."""


@dataclass(frozen=True)
class Owner:
    """Who has a lock. ``machine`` is the boot and the PID namespace that ``process`` (its PID and the
    time of its start) is of; ``token`` is never used twice.
    """

    host: str
    machine: str
    process: str
    token: str

    def encoded(self) -> bytes:
        """As it is stored."""
        return json.dumps(asdict(self)).encode("ascii") + b"\n"

    @property
    def has_ended(self) -> bool:
        """Whether it was a process of this machine that is no more, or this one, which has given up."""
        pid, _, start = self.process.partition("@")
        if not start or self.machine != _machine():
            return False
        return _start(pid) != start or (int(pid) == os.getpid() and self.token not in _alive)


def this_process() -> Owner:
    """A new owner: this process."""
    pid, token = str(os.getpid()), uuid.uuid4().hex
    _alive.add(token)
    return Owner(socket.gethostname(), _machine(), f"{pid}@{_start(pid)}", token)


def given_up(owner: Owner) -> None:
    """This process no longer uses a lock of this owner, whether or not it could be removed."""
    _alive.discard(owner.token)


def decoded_owner(content: bytes) -> Owner | None:
    """The owner in a file that anybody could have written; None if there is none in it."""
    try:
        data = json.loads(content[: LARGEST_LOCK + 1])
        values = {field.name: data[field.name] for field in fields(Owner)}
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return Owner(**values) if all(isinstance(value, str) for value in values.values()) else None


def is_stale(content: bytes, age: float) -> bool:
    """Whether a lock with this content, last renewed ``age`` seconds ago, may be taken over."""
    owner = decoded_owner(content)
    return age > LEASE or (owner is not None and owner.has_ended)


def taken(place: str, content: bytes, patience: float) -> HostError:
    """The error for a lock that somebody else has for too long."""
    owner = decoded_owner(content)
    who = f" from {one_line(owner.host)}" if owner else ""
    return HostError(
        f"somebody else has been publishing to {place}{who} for {patience:.0f} s",
        f"wait until that has ended; a lock that nobody renews is free after {LEASE} s",
    )


class Lost:
    """Whether a lock that was taken is lost."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._why = ""

    def lose(self, why: str) -> None:
        """It is lost."""
        self._why = self._why or why

    def check(self) -> None:
        """Raises HostError if it is lost."""
        if self._why:
            raise HostError(f"the lock of {self._place} was lost: {self._why}", "nothing was switched; run it again")


@contextmanager
def renewed(renew: Callable[[], bool], lost: Lost, interval: float = RENEWAL) -> Iterator[None]:
    """Call ``renew`` from time to time during the block; when it returns False the lock is lost."""
    over = threading.Event()

    def keep() -> None:
        failed = 0
        while not over.wait(interval):
            try:
                if not renew():
                    lost.lose("somebody else took it over")
                    return
                failed = 0
            except ImageBuildError as error:
                failed += 1
                logger.info("a lock could not be renewed: %s", error)
                if failed * interval >= LEASE / 2:
                    lost.lose(f"it could not be renewed ({error})")
                    return

    thread = threading.Thread(target=keep, name="lock", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(interval)


def _machine() -> str:
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115 - not a path
    return ""


def _start(pid: str) -> str:
    """When a process started, in clock ticks since boot (proc(5), stat, field 22); empty if it has ended."""
    if not pid.isascii() or not pid.isdigit():
        return ""
    try:
        line = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return ""
    rest = line.rpartition(b")")[2].split()
    return rest[19].decode("ascii") if len(rest) > 19 and rest[0] not in (b"Z", b"X") else ""
