"""Tells a machine that waits for nothing from one at work, by what it uses."""

from __future__ import annotations

from dataclasses import dataclass

_WINDOW = 20.0
"""Seconds over which use of the CPU is measured: an idle QEMU takes 2 % of one, in bursts."""
_IDLE = 0.05
"""How much of one CPU a machine may use that does nothing."""


@dataclass(frozen=True)
class Usage:
    """What a machine has used so far: CPU seconds, and bytes read, written, sent and received, where these are known."""

    cpu: float
    traffic: int = 0


@dataclass
class Stall:
    """Tells a machine that waits for nothing: silent *and* no traffic *and* (almost) no CPU used for ``limit`` seconds.

    One signal alone misfires: mkfs is silent, a compiler does no I/O, a download uses little CPU.
    """

    limit: float
    now: float
    usage: Usage | None = None
    _since: float = -1.0

    def waits(self, now: float, usage: Usage | None, *, spoke: bool = False) -> bool:
        """Whether nothing has happened for ``limit`` seconds. Times in seconds, of one clock; no figures are a sign of life, too."""
        before, elapsed = self.usage, now - self.now
        if spoke or before is None or usage is None or self._since < 0:
            self._since = self.now = now
            self.usage = usage
        elif elapsed >= min(_WINDOW, self.limit / 4):
            used = usage.cpu - before.cpu
            # Less than before: it is another machine.
            if usage.traffic != before.traffic or not 0 <= used / elapsed <= _IDLE:
                self._since = now
            self.usage, self.now = usage, now
        return now - self._since >= self.limit
