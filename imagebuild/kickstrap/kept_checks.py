"""What the installer's checks of values have found, for the next kickstart with the same commands.

Most kickstarts of a project share most of pykickstart's results (see ``imagebuild.kickstart.neighbours``),
and nobody changes those. A check is not run again for a handler if all that it read of an earlier one is
the same.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from typing import Any

from imagebuild.kickstrap.agent.machine import TargetMachine
from imagebuild.kickstrap.agent.values import Problem, ValuesCheck

MOST = 16
"""Results that are kept of each check for each machine."""
_Result = tuple[dict[str, Any], tuple[Problem, ...]]
_known: dict[tuple[ValuesCheck, TargetMachine | None, bool], deque[_Result]] = {}
"""What was read of a handler, and what was found; the newest first."""
_lock = threading.Lock()
"""Builds plan in several threads."""


class _ReadHandler:
    """pykickstart's handler, with a note of what is read of it."""

    def __init__(self, handler: Any) -> None:
        self._handler = handler
        self._read: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        self._read[name] = value = getattr(self._handler, name)
        return value


def run(check: ValuesCheck, handler: Any, machine: TargetMachine | None, *, complete: bool) -> Iterable[Problem]:
    """See ``imagebuild.kickstrap.agent.values.Run``."""
    with _lock:
        known = _known.setdefault((check, machine, complete), deque(maxlen=MOST))
        for read, found in known:
            if all(getattr(handler, name, None) is value for name, value in read.items()):
                return found
    reading = _ReadHandler(handler)
    found = tuple(check(reading, machine, complete))
    with _lock:
        known.appendleft((reading._read, found))  # noqa: SLF001 - no name of a handler's begins with an underscore
    return found


def forget() -> None:
    """Forget all results."""
    _known.clear()
