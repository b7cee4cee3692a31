"""Which programs belong to a build, and what they use, seen by looking at regular intervals.

A program belongs to it if a program of it started it, or if it is QEMU and runs a machine of one of
the recipes: libvirt's daemon starts those. What begins and ends between two looks is not seen by
itself. The kernel adds the processor time and the writes of a program to those of the program that
waited for it, so that nothing is lost.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

_SHOWN = 300
"""Characters of a command line that are kept."""


@dataclass
class ProgramUsage:
    """A program: times in seconds since the epoch; ``cpu`` in seconds and ``written`` in bytes are its
    own and those of the children that it waited for; ``memory`` is in bytes.
    """

    pid: int
    parent: int
    began: float
    name: str = ""
    command: str = ""
    last_seen: float = 0.0
    cpu: float = 0.0
    memory: int = 0
    most_memory: int = 0
    written: int = 0
    machine: bool = False
    lane: int = 0


@dataclass
class Programs:
    """The programs of this process, itself among them. ``is_ours`` says of a machine's name whether it
    belongs to the build; ``hidden`` masks secrets in a command line.
    """

    is_ours: Callable[[str], bool]
    hidden: Callable[[str], str]
    running: dict[tuple[int, float], ProgramUsage] = field(default_factory=dict)
    began: float = 0.0

    def look(self, now: float) -> tuple[list[ProgramUsage], list[ProgramUsage]]:
        """Look at all programs once. Returns those that are new, and those that have ended."""
        self.began = self.began or now
        seen: dict[tuple[int, float], psutil.Process] = {}
        parents: dict[int, int] = {}
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                key = (process.pid, process.create_time())
                parents[process.pid] = process.ppid()
                seen[key] = process
        ours = {pid for pid, _ in self.running} | {os.getpid()}
        new = [
            self._new(key, process, parents[key[0]])
            for key, process in seen.items()
            if key not in self.running and (_descends(key[0], parents, ours) or self._is_machine(process))
        ]
        for one in new:
            self.running[one.pid, one.began] = one
        ended = [self.running.pop(key) for key in [*self.running] if key not in seen]
        for key, usage in self.running.items():
            _measure(usage, seen[key], now)
        return [one for one in new if (one.pid, one.began) in self.running], ended

    def _new(self, key: tuple[int, float], process: psutil.Process, parent: int) -> ProgramUsage:
        usage = ProgramUsage(key[0], parent, key[1], machine=self._is_machine(process))
        with suppress(psutil.Error):
            usage.name = process.name()
            usage.command = self.hidden(" ".join(process.cmdline()))[:_SHOWN]
        return usage

    def _is_machine(self, process: psutil.Process) -> bool:
        with suppress(psutil.Error):
            if process.name().startswith("qemu-") and process.create_time() >= self.began - 1:
                words = process.cmdline()
                named = words[words.index("-name") + 1] if "-name" in words[:-1] else ""
                return self.is_ours(named.removeprefix("guest=").partition(",")[0])
        return False


def _descends(pid: int, parents: dict[int, int], ours: set[int]) -> bool:
    return any(one in ours for one in _line(pid, parents))


def _line(pid: int, parents: dict[int, int]) -> Iterator[int]:
    """A process and those that it descends from."""
    for _ in range(100):  # a parent may have ended, and its number belong to another process by now
        yield pid
        if pid not in parents or parents[pid] in (0, pid):
            return
        pid = parents[pid]


def _measure(usage: ProgramUsage, process: psutil.Process, now: float) -> None:
    with suppress(psutil.Error), process.oneshot():
        times = process.cpu_times()
        usage.cpu = times.user + times.system + times.children_user + times.children_system
        usage.memory = process.memory_info().rss
        usage.most_memory = max(usage.most_memory, usage.memory)
        usage.last_seen = now
        usage.written = process.io_counters().write_bytes  # last: it may not be allowed
