"""Simulate a farm's placement, and compare it with a perfect schedule.

    python -m bench.farm

The placement is the program's own (imagebuild.farm.placement), on a simulated clock. The bound is what
no schedule of the same durations can beat: the longest chain of one image, and the work divided by what
all workers have together (memory, processors, places), from the time on at which it can begin, because
each shared result is made once. So the utilisation that is printed, the
bound divided by the simulated time, is at most that against a perfect schedule.

The overhead is the processor time of the placement, divided by the simulated time: the share of one
processor that decides while the farm works.
"""

from __future__ import annotations

import heapq
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from imagebuild.build.scheduler import Room
from imagebuild.farm.placement import PlacedWork, PlaceState, place

_GIB = 1 << 30


@dataclass(frozen=True)
class SimulatedImage:
    """An image: the shared result that it needs, seconds to make that, and seconds of the rest."""

    number: int
    room: Room
    family: str
    making: float
    rest: float


@dataclass(frozen=True)
class Simulated:
    """What came of a simulation; times in seconds, ``decided`` is processor time."""

    makespan: float
    bound: float
    decided: float
    rounds: int
    made: int
    excess: int


def images(count: int, families: int, seed: int) -> list[SimulatedImage]:
    """Images of unlike size: servers, desktops, and a few that need much memory."""
    chance = random.Random(seed)
    making = [chance.uniform(120, 400) for _ in range(families)]
    found = []
    for number in range(count):
        family = number % families
        memory = chance.choice((2, 2, 2, 4, 4, 8))
        room = Room(memory * _GIB, chance.choice((1, 2, 2, 4)), 8 * _GIB)
        found.append(SimulatedImage(number, room, f"payload {family}", making[family], chance.uniform(300, 1800)))
    return found


def workers(count: int, seed: int) -> list[PlaceState]:
    """Workers of unlike size; one in four is large."""
    chance = random.Random(seed)
    found = []
    for number in range(count):
        processors = 16 if number % 4 == 0 else chance.choice((4, 6, 8))
        room = Room(processors * 3 * _GIB, processors * 2, processors * 60 * _GIB)
        found.append(PlaceState(f"w{number}", room, processors))
    return found


def simulate(wanted: Sequence[SimulatedImage], crew: Sequence[PlaceState]) -> Simulated:
    """Run the placement on a simulated clock."""
    waiting = {one.number: one for one in wanted}
    there: set[str] = set()
    running: dict[int, tuple[str, PlacedWork, float]] = {}
    ends: list[tuple[float, int, str]] = []
    now, decided, rounds, made, excess = 0.0, 0.0, 0, 0, 0
    while waiting or running:
        busy: dict[str, list[tuple[PlacedWork, float]]] = {str(one.key): [] for one in crew}
        for worker, work, until in running.values():
            busy[worker].append((work, until))
        states = [PlaceState(one.key, one.room, one.jobs, one.words, tuple(busy[str(one.key)])) for one in crew]
        works = [_work(one, there) for one in waiting.values()]
        making = {name for _, work, _ in running.values() for name in work.makes} - there
        begin = time.process_time()
        started = place(works, states, making, now)
        decided += time.process_time() - begin
        rounds += 1
        for work, worker in started:
            number = int(str(work.key))
            image = waiting.pop(number)
            until = now + work.expected
            running[number] = str(worker), work, until
            heapq.heappush(ends, (until, number, ""))
            if work.makes:
                heapq.heappush(ends, (now + image.making, -1, image.family))
                made += 1
        for one in crew:
            used = [work.room for worker, work, _ in running.values() if worker == one.key]
            excess += not one.room.holds(sum(used, Room(0, 0, 0))) or len(used) > one.jobs
        if not ends:
            raise RuntimeError("something fits nowhere")
        now, number, family = heapq.heappop(ends)
        there |= {family} if family else set()
        if number >= 0:
            del running[number]
    return Simulated(now, bound(wanted, crew), decided, rounds, made, excess)


def _work(image: SimulatedImage, there: set[str]) -> PlacedWork:
    new = image.family not in there
    makes = frozenset({image.family}) if new else frozenset()
    return PlacedWork(image.number, image.room, seconds=image.rest + (image.making if new else 0), makes=makes)


def bound(wanted: Sequence[SimulatedImage], crew: Sequence[PlaceState]) -> float:
    """Nothing but its making can happen to a family before its shared result is there: so from each such
    time on, all the work of the families that are not earlier is left.
    """
    bounds = [max(one.making + one.rest for one in wanted)]
    for have, need in (
        (sum(one.room.memory for one in crew), lambda room: room.memory),
        (sum(one.room.vcpus for one in crew), lambda room: room.vcpus),
        (sum(one.jobs for one in crew), lambda _: 1),
    ):
        for start in (0.0, *{one.making for one in wanted}):
            work = sum(need(one.room) * one.rest for one in wanted if one.making >= start)
            bounds.append(start + work / have)
    return max(bounds)


def main() -> None:
    """Print the figures of both farms."""
    for count, families, crew, seeds in ((40, 6, 4, 20), (1000, 40, 50, 3)):
        found = [simulate(images(count, families, seed), workers(crew, seed)) for seed in range(seeds)]
        share = [one.bound / one.makespan for one in found]
        overhead = [one.decided / one.makespan for one in found]
        print(
            f"{count} images in {families} families on {crew} workers of unlike size, {seeds} draws:"
            f" utilisation {min(share):.3f} to {max(share):.3f} of the bound, mean {sum(share) / seeds:.3f};"
            f" placement {max(overhead):.5f} of one processor, {max(one.decided for one in found):.2f} s in all;"
            f" shared results made {max(one.made for one in found)} times for {families} families,"
            f" {sum(one.excess for one in found)} times more than a worker has"
        )


if __name__ == "__main__":
    main()
