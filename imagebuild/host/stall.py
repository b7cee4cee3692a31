"""Detects a stalled machine by its use of resources."""

from __future__ import annotations

from dataclasses import dataclass

_WINDOW = 20.0
"""Seconds over which CPU use is measured: an idle QEMU uses 2 % of a CPU, in bursts."""
_IDLE = 0.05
"""The share of one CPU that an idle machine may use."""


@dataclass(frozen=True)
class Usage:
    """The resources that a machine has used: CPU seconds, and bytes read, written, sent and
    received, if known.
    """

    cpu: float
    traffic: int = 0


@dataclass
class Stall:
    """Detects a stalled machine: no output *and* no traffic *and* (almost) no CPU use for ``limit``
    seconds.

    One sign alone is not enough: mkfs is silent, a compiler does no I/O, a download uses little
    CPU.
    """

    limit: float
    now: float
    usage: Usage | None = None
    _since: float = -1.0

    def waits(self, now: float, usage: Usage | None, *, spoke: bool = False) -> bool:
        """Whether nothing has happened for ``limit`` seconds.

        Times are in seconds, of one clock. Missing figures also count as a sign of life.
        """
        before, elapsed = self.usage, now - self.now
        if spoke or before is None or usage is None or self._since < 0:
            self._since = self.now = now
            self.usage = usage
        elif elapsed >= min(_WINDOW, self.limit / 4):
            used = usage.cpu - before.cpu
            # Less than before: it is a different machine.
            if usage.traffic != before.traffic or not 0 <= used / elapsed <= _IDLE:
                self._since = now
            self.usage, self.now = usage, now
        return now - self._since >= self.limit
