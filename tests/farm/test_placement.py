"""Which build starts where, without a farm."""

from __future__ import annotations

from imagebuild.build.scheduler import Room
from imagebuild.farm.placement import PlacedWork, PlaceState, place, unplaceable

SMALL, LARGE = Room(2, 2, 10), Room(6, 2, 10)


def work(key: int, room: Room = SMALL, seconds: float = 100, **more: frozenset[str]) -> PlacedWork:
    return PlacedWork(key, room, seconds=seconds, **more)


def worker(key: str, room: Room, jobs: int, *running: tuple[PlacedWork, float]) -> PlaceState:
    return PlaceState(key, room, jobs, running=running)


def started(found: list[tuple[PlacedWork, object]]) -> list[tuple[object, object]]:
    return [(one.key, where) for one, where in found]


def test_the_longest_starts_first_and_nothing_beyond_what_a_worker_has() -> None:
    one = worker("w1", Room(5, 8, 100), 4)
    found = place([work(1, seconds=10), work(2, seconds=30), work(3, seconds=20)], [one], (), 0)
    assert started(found) == [(2, "w1"), (3, "w1")], "there is no memory for a third one"
    assert not place([work(4)], [worker("w1", Room(9, 9, 99), 1, (work(1), 50))], (), 0), "nor a place"


def test_what_several_need_is_made_by_one() -> None:
    makes = frozenset({"payload a"})
    one = worker("w1", Room(50, 50, 500), 10)
    assert started(place([work(1, makes=makes), work(2, makes=makes), work(3)], [one], (), 0)) == [(1, "w1"), (3, "w1")]
    assert started(place([work(2, makes=makes), work(3)], [one], makes, 0)) == [(3, "w1")]


def test_what_needs_much_memory_goes_where_places_are_short() -> None:
    """`even` has two units of memory for each place, `much` has four."""
    even = worker("even", Room(8, 16, 100), 4)
    much = worker("much", Room(16, 16, 100), 4, (work(8), 50))
    assert started(place([work(1, LARGE)], [even, much], (), 0)) == [(1, "much")]
    assert started(place([work(1)], [even, much], (), 0)) == [(1, "even")]


def test_a_worker_is_kept_for_what_fits_nowhere_now() -> None:
    busy = worker("w1", Room(8, 8, 100), 4, (work(8), 50))
    large = work(1, Room(8, 2, 10), seconds=500)
    assert started(place([large, work(2, seconds=100)], [busy], (), 0)) == [], "it would end too late"
    assert started(place([large, work(2, seconds=40)], [busy], (), 0)) == [(2, "w1")]


def test_labels_and_workers_that_have_failed() -> None:
    plain = worker("w1", Room(8, 8, 100), 4)
    other = PlaceState("w2", Room(8, 8, 100), 4, frozenset({"label:dc2"}))
    needs = PlacedWork(1, SMALL, frozenset({"label:dc2"}))
    assert started(place([needs], [plain, other], (), 0)) == [(1, "w2")]
    assert started(place([work(2)], [plain, other], (), 0)) == [(2, "w1")], "w2 may be needed for what needs its label"
    assert unplaceable(needs, [plain])
    assert unplaceable(work(3, never=frozenset({"w1"})), [plain])
