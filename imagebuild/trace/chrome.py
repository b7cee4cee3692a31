"""Events in the Trace Event Format, and the lanes that they are drawn in.

The format: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU (Trace Event
Format). Its ``pid`` and ``tid`` only group what is drawn: here a group is "steps" or "programs", and
a lane is a line of bars that do not overlap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

STEPS, PROGRAMS, HOST = 1, 2, 3
"""The groups of a trace."""
_NAMES = {STEPS: "steps", PROGRAMS: "programs", HOST: "use of the host"}

Event = dict[str, Any]


@dataclass
class Lanes:
    """Lines of a group; one that has become free is used again."""

    group: int
    labels: dict[int, str] = field(default_factory=dict)
    _taken: set[int] = field(default_factory=set)

    def take(self, label: str = "") -> int:
        """The number of a free lane. Only a lane with the same label is used again."""
        for lane, known in self.labels.items():
            if known == label and lane not in self._taken:
                self._taken.add(lane)
                return lane
        lane = len(self.labels) + 1
        self.labels[lane] = label
        self._taken.add(lane)
        return lane

    def release(self, lane: int) -> None:
        """Let others use the lane."""
        self._taken.discard(lane)

    def names(self) -> list[Event]:
        """The events that name the lanes."""
        return [
            {"ph": "M", "name": "thread_name", "pid": self.group, "tid": lane, "args": {"name": label or " "}}
            for lane, label in self.labels.items()
        ]


def bar(group: int, lane: int, name: str, begin: float, end: float, **about: Any) -> Event:
    """What lasted from ``begin`` to ``end``, in seconds since the start of the trace."""
    moment = _microseconds(begin)
    # at least 1 µs, since viewers do not draw what has no length
    lasted = max(1, _microseconds(end) - moment)
    return {"ph": "X", "name": name, "pid": group, "tid": lane, "ts": moment, "dur": lasted, "args": about}


def counter(name: str, when: float, **values: float) -> Event:
    """The height of a curve at a time, in seconds since the start of the trace."""
    return {"ph": "C", "name": name, "pid": HOST, "tid": 1, "ts": _microseconds(when), "args": values}


def instant(name: str, when: float, **about: Any) -> Event:
    """Something that happened at a time, in seconds since the start of the trace."""
    return {"ph": "i", "s": "g", "name": name, "pid": STEPS, "tid": 1, "ts": _microseconds(when), "args": about}


def document(events: list[Event], lanes: list[Lanes], about: Mapping[str, Any]) -> dict[str, Any]:
    """The whole trace, events in the order of time. ``about`` is what belongs to the whole of it."""
    groups = [
        {"ph": "M", "name": name, "pid": group, "tid": 0, "args": args}
        for group, title in _NAMES.items()
        for name, args in (("process_name", {"name": title}), ("process_sort_index", {"sort_index": group}))
    ]
    named = [event for one in lanes for event in one.names()]
    ordered = sorted(events, key=lambda event: (event["ts"], -event.get("dur", 0)))
    return {"traceEvents": [*groups, *named, *ordered], "displayTimeUnit": "ms", "otherData": dict(about)}


def _microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)
