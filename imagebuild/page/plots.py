"""The figures that are drawn over the last versions of an image, and the small curves of the index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from imagebuild.contents.sizes import signed
from imagebuild.errors import HostError
from imagebuild.page import wording
from imagebuild.page.facts import VersionRow
from imagebuild.pictures import line_chart, optional

LAST = 30
"""So many versions are drawn."""


@dataclass(frozen=True)
class Figure:
    """A number that every version has. ``shown`` writes it, ``difference`` how it changed."""

    name: str
    label: str
    of: Callable[[VersionRow], float | None]
    shown: Callable[[float], str]
    difference: Callable[[float], str]


def _seconds_more(value: float) -> str:
    return f"{'+' if value > 0 else '−'}{wording.duration(abs(value))}"


FIGURES = (
    Figure("size", "Image size", lambda row: row.size, lambda v: wording.size(int(v)), lambda v: signed(int(v))),
    Figure("packages", "Packages", lambda row: row.packages, lambda v: f"{v:,.0f}", lambda v: f"{v:+,.0f}"),
    Figure("boot", "Boot to login", lambda row: row.boot_seconds, wording.duration, _seconds_more),
    Figure("build", "Build time", lambda row: row.build_seconds, wording.duration, _seconds_more),
)


@dataclass(frozen=True)
class Tile:
    """A figure of the newest version; ``curve`` is the path of its picture, empty for none."""

    label: str
    value: str
    change: str
    said: str
    curve: str


@dataclass(frozen=True)
class Plotted:
    """A chart on the page of an image."""

    label: str
    file: str
    said: str
    count: int


def available() -> bool:
    """Whether the library that draws is installed."""
    try:
        optional.library("pygal", "a plot")
    except HostError:
        return False
    return True


def tiles(rows: Sequence[VersionRow], *, drawn: bool) -> list[Tile]:
    """The tiles of an image, whose ``rows`` are the newest first."""
    found = []
    for figure in FIGURES:
        value = figure.of(rows[0])
        before = figure.of(rows[1]) if len(rows) > 1 else None
        change = ""
        if value is not None and before is not None:
            change = "unchanged" if value == before else figure.difference(value - before)
        curve = f"images/{rows[0].image}/{figure.name}-curve.svg" if drawn and _is_drawn(figure, rows) else ""
        shown = wording.NOTHING if value is None else figure.shown(value)
        found.append(Tile(figure.label, shown, change, _said(figure, rows), curve))
    return found


def charts(rows: Sequence[VersionRow]) -> list[Plotted]:
    """The charts of an image."""
    count = len(rows[:LAST])
    return [Plotted(one.label, f"{one.name}.svg", _said(one, rows), count) for one in FIGURES if _is_drawn(one, rows)]


def pictures(rows: Sequence[VersionRow]) -> dict[str, str]:
    """The files of an image's plots, by name. Raises HostError without the library."""
    found = {}
    last = list(reversed(rows[:LAST]))
    for figure in (one for one in FIGURES if _is_drawn(one, rows)):
        values = [figure.of(row) for row in last]
        labels = [row.version for row in last]
        found[f"{figure.name}-curve.svg"] = line_chart.curve(values, figure.label)
        found[f"{figure.name}.svg"] = line_chart.chart(labels, values, figure.label, figure.shown)
    return found


def _is_drawn(figure: Figure, rows: Sequence[VersionRow]) -> bool:
    return sum(figure.of(row) is not None for row in rows[:LAST]) > 1


def _said(figure: Figure, rows: Sequence[VersionRow]) -> str:
    """What a plot shows, for those who do not see it."""
    values = [value for row in rows[:LAST] if (value := figure.of(row)) is not None]
    if not values:
        return f"{figure.label}: not known"
    low, high, last, first = (figure.shown(one) for one in (min(values), max(values), values[0], values[-1]))
    return f"{figure.label} of the last {len(values)} versions: from {first} to {last}, between {low} and {high}"
