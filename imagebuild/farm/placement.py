"""Which build starts where. Pure.

The longest builds start first. What several builds need and nobody has made yet is made by the first
of them, and the others wait for it. A build that fits nowhere now reserves the worker that is free
for it first; others may use that worker only if they end before.

dask itself assigns such a task to any worker that is large enough, however busy, where it waits.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from imagebuild.build.scheduler import Room

EMPTY = Room(0, 0, 0)
_UNKNOWN = 600.0
"""Seconds that a build is assumed to take if nobody knows."""


@dataclass(frozen=True)
class PlacedWork:
    """A build: what it needs, the expected seconds, and the missing results (each its own name) that
    it would make and that others may want, too.
    """

    key: Hashable
    room: Room
    words: frozenset[str] = frozenset()
    seconds: float | None = None
    makes: frozenset[str] = frozenset()
    never: frozenset[str] = frozenset()
    """The workers that have failed to do it."""

    @property
    def expected(self) -> float:
        """The expected seconds, or a guess."""
        return _UNKNOWN if self.seconds is None else self.seconds


@dataclass(frozen=True)
class PlaceState:
    """A worker: what it has, and what runs there, with the time at which each is expected to end."""

    key: Hashable
    room: Room
    jobs: int
    words: frozenset[str] = frozenset()
    running: Sequence[tuple[PlacedWork, float]] = field(default=())

    def can(self, work: PlacedWork) -> bool:
        """Whether the work fits if nothing else runs there."""
        return self.key not in work.never and work.words <= self.words and self.room.holds(work.room)

    def fits(self, work: PlacedWork) -> bool:
        """Whether the work fits now."""
        return self.can(work) and len(self.running) < self.jobs and self.room.holds(self.used + work.room)

    @cached_property
    def used(self) -> Room:
        """What the running builds may use."""
        return sum((one.room for one, _ in self.running), EMPTY)

    def imbalance(self, work: PlacedWork) -> float:
        """How many places for builds would be of no use once the work runs here, too, because memory or
        processors are used up before them, or the other way round.
        """
        used, have = self.used + work.room, self.room
        shares = (
            used.memory / max(have.memory, 1),
            used.vcpus / max(have.vcpus, 1),
            (len(self.running) + 1) / self.jobs,
        )
        return (max(shares) - min(shares)) * self.jobs

    def free_for(self, work: PlacedWork, now: float) -> float:
        """When enough of the running builds have ended, as far as expected."""
        left = sorted(self.running, key=lambda pair: pair[1])
        when = now
        while left and not (len(left) < self.jobs and self.room.holds(sum((one.room for one, _ in left), work.room))):
            when = max(when, left.pop(0)[1])
        return when


def place(
    waiting: Iterable[PlacedWork], workers: Collection[PlaceState], making: Collection[str], now: float
) -> list[tuple[PlacedWork, Hashable]]:
    """What starts now, each with its worker. ``making`` are the results that running builds make."""
    there: dict[Hashable, PlaceState] = {one.key: one for one in workers}
    reserved: dict[Hashable, float] = {}
    taken = set(making)
    started: list[tuple[PlacedWork, Hashable]] = []
    full: set[tuple[Room, frozenset[str], frozenset[str]]] = set()
    for work in sorted(waiting, key=lambda one: -one.expected):
        kind = (work.room, work.words, work.never)
        if work.makes & taken or kind in full:
            continue
        fitting = [one for one in there.values() if one.fits(work)]
        if not fitting:
            full.add(kind)  # there is only ever less room in this round
            _reserve(work, there, reserved, now)
            continue
        chosen = _chosen(work, fitting, reserved, now)
        if chosen is None:
            continue
        running = (*chosen.running, (work, now + work.expected))
        there[chosen.key] = PlaceState(chosen.key, chosen.room, chosen.jobs, chosen.words, running)
        taken |= work.makes
        started.append((work, chosen.key))
    return started


def _chosen(
    work: PlacedWork, fitting: Iterable[PlaceState], reserved: Mapping[Hashable, float], now: float
) -> PlaceState | None:
    """The worker for a build: of those where it fits, the one where least is left over that nothing can
    use, such as memory without a place for a build; of equals the smaller one.
    """
    end = now + work.expected
    able = (one for one in fitting if end <= reserved.get(one.key, float("inf")))
    return min(able, key=lambda one: (len(one.words), one.imbalance(work), one.room.memory), default=None)


def _reserve(
    work: PlacedWork, there: Mapping[Hashable, PlaceState], reserved: dict[Hashable, float], now: float
) -> None:
    """Keep the worker that is free first for a build that fits nowhere now: only the first of such
    builds, so that the others do not keep all workers idle.
    """
    able = [one for one in there.values() if one.can(work) and one.key not in reserved]
    if able and not reserved:
        best = min(able, key=lambda one: one.free_for(work, now))
        reserved[best.key] = best.free_for(work, now)


def unplaceable(work: PlacedWork, workers: Collection[PlaceState]) -> bool:
    """Whether no worker can ever do the work."""
    return not any(one.can(work) for one in workers)
