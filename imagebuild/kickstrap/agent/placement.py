"""Which disk each partition gets, and in which order: the rules of blivet, with which Anaconda
partitions (3.14, ``blivet/partitioning.py``). Pure, in MiB.
"""

from __future__ import annotations

from functools import cmp_to_key
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .disks import Partition

_FIRST = {"esp": 5000, "biosboot": 5000}
_BOOT = 2000
_AT_ONCE = 1000
"""What weighs more gets the first space where it fits."""


def ordered(partitions: Sequence[Partition]) -> list[Partition]:
    """The partitions in the order in which they are placed, which is also that on each disk."""
    return sorted(partitions, key=cmp_to_key(_compared))


def _weight(part: Partition) -> int:
    return _BOOT if part.name == "/boot" else _FIRST.get(part.kind, 0)


def _compared(one: Partition, other: Partition) -> int:
    """Negative if ``one`` comes first: with more weight; on a named disk; of fixed size; larger; able
    to grow further.
    """
    points = _weight(other) - _weight(one)
    points -= 500 * (bool(one.disk) - bool(other.disk))
    points -= 200 * (one.primary - other.primary)
    points += 100 * (one.grow - other.grow)
    points -= 50 * _sign(one.size, other.size)
    if one.grow and other.grow:
        # no limit is the highest one
        unlimited = bool(other.maxsize and not one.maxsize) - bool(one.maxsize and not other.maxsize)
        points -= 25 * (unlimited or _sign(one.maxsize, other.maxsize))
    if one.name.startswith("/") and other.name.startswith("/"):
        points += 10 * ((one.name > other.name) - (one.name < other.name))
    return points


def _sign(one: int, other: int) -> int:
    return (one > other) - (one < other)


def best_disk(
    part: Partition, candidates: Sequence[int], rooms: Mapping[int, int], on: Mapping[int, Sequence[Partition]]
) -> int | None:
    """The one of the ``candidates`` that ``part`` is placed on; None if it fits nowhere.

    ``rooms`` are the MiB for partitions on each disk, and ``on`` what is there already. What must boot
    gets the first disk, what grows the one where most can grow, and anything else the fullest one.
    """
    fitting = [number for number in candidates if part.size <= _left(number, rooms, on)]
    if not fitting or _weight(part) > _AT_ONCE:
        return fitting[0] if fitting else None
    best, growth = fitting[0], _growth(part, fitting[0], rooms, on)
    any_grows = part.grow or any(other.grow for parts in on.values() for other in parts)
    for number in fitting[1:]:
        if not part.grow and _left(number, rooms, on) >= _left(best, rooms, on):
            continue
        more = _growth(part, number, rooms, on)
        if not any_grows or more > growth:
            best, growth = number, more
    return best


def _left(number: int, rooms: Mapping[int, int], on: Mapping[int, Sequence[Partition]]) -> int:
    return rooms[number] - sum(part.size for part in on[number])


def _growth(part: Partition, place: int, rooms: Mapping[int, int], on: Mapping[int, Sequence[Partition]]) -> int:
    """MiB that all partitions together can grow, if ``part`` is on the disk ``place``."""
    total = 0
    for number, parts in on.items():
        there = [*parts, part] if number == place else list(parts)
        left = rooms[number] - sum(one.size for one in there)
        growing = [one for one in there if one.grow]
        limits = [max(0, one.maxsize - one.size) for one in growing if one.maxsize]
        total += min(left, sum(limits)) if len(limits) == len(growing) else left
    return total
