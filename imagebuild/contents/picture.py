"""A picture of a disk: its partitions in their order, each as wide as it is large."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from imagebuild.contents.inventory import DiskArea, DiskLayout
from imagebuild.contents.partition_types import EXTENDED, type_name
from imagebuild.contents.sizes import human
from imagebuild.printable import one_line

WIDTH = 72
"""Columns of a picture in text."""
_NARROWEST = 4
_LEAST_GAP = 2 << 20
"""Bytes: a smaller gap is alignment, and is not drawn."""
_USED, _UNUSED, _UNKNOWN, _GAP = "█", "░", "▒", "·"
_SVG_WIDTH, _SVG_MARGIN, _BAR_HEIGHT, _BAR_TOP, _ROW_HEIGHT = 960, 16, 56, 34, 20
_COLOURS = ("#4c78a8", "#f58518", "#54a24b", "#b279a2", "#e45756", "#72b7b2", "#9d755d")
_SVG_NARROWEST = 6
_SVG_STYLE = "<style>@media (prefers-color-scheme:dark){.paper{fill:#161b22}text{fill:#e6edf3}}</style>"
"""Light and dark like the page that shows the picture."""


@dataclass(frozen=True)
class Segment:
    """A part of a disk from left to right: a partition, or a gap (None) of ``size`` bytes."""

    area: DiskArea | None
    size: int


def segments(disk: DiskLayout) -> list[Segment]:
    """The parts of a disk, gaps included. An extended partition is left out, because those in it are
    drawn; anything else that overlaps follows what is before it."""
    found: list[Segment] = []
    at = 0
    drawn = [area for area in disk.areas if area.type not in EXTENDED]
    for area in sorted(drawn, key=lambda one: (one.start, -one.size)):
        if area.start - at >= _LEAST_GAP:
            found.append(Segment(None, area.start - at))
        found.append(Segment(area, area.size))
        at = max(at, area.start + area.size)
    if disk.size - at >= _LEAST_GAP:
        found.append(Segment(None, disk.size - at))
    return found


def text(disk: DiskLayout) -> str:
    """One line: each partition with its number and the share of it that is used."""
    parts = segments(disk)
    widths = _widths([one.size for one in parts], WIDTH - len(parts) - 1, _NARROWEST)
    return "".join(["|", *(f"{_cells(one, width)}|" for one, width in zip(parts, widths, strict=True))])


def _cells(segment: Segment, width: int) -> str:
    area = segment.area
    if area is None:
        return _GAP * width
    name = str(area.number) if area.number else ""
    room = max(0, width - len(name))
    if area.used is None or not area.size:
        return f"{name}{_UNKNOWN * room}"
    full = min(room, round(room * area.used / area.size))
    return f"{name}{_USED * full}{_UNUSED * (room - full)}"


def _widths(sizes: Sequence[int], room: int, least: int) -> list[int]:
    """Shares of ``room`` in proportion to the sizes; none is less than ``least``."""
    widths = [least] * len(sizes)
    left = max(0, room - least * len(sizes))
    total = sum(sizes) or 1
    exact = [left * size / total for size in sizes]
    widths = [width + int(share) for width, share in zip(widths, exact, strict=True)]
    rests = sorted(range(len(sizes)), key=lambda at: exact[at] - int(exact[at]), reverse=True)
    for at in rests[: max(0, left - sum(int(share) for share in exact))]:
        widths[at] += 1
    return widths


def svg(disks: Sequence[DiskLayout], volumes: Sequence[DiskArea], title: str) -> str:
    """All disks as one SVG picture, which needs no font or file from elsewhere."""
    lines: list[str] = []
    top = _SVG_MARGIN + 24
    for number, disk in enumerate(disks, start=1):
        drawn, height = _svg_disk(disk, number, top)
        lines += drawn
        top += height
    for volume in volumes:
        lines.append(_svg_text(_SVG_MARGIN, top + 14, f"volume {_described(volume)}"))
        top += _ROW_HEIGHT
    height = top + _SVG_MARGIN
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_SVG_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_SVG_WIDTH} {height}" role="img" font-family="system-ui, sans-serif" font-size="13">'
    )
    paper = f'<rect class="paper" width="{_SVG_WIDTH}" height="{height}" fill="#ffffff"/>'
    heading = _svg_text(_SVG_MARGIN, _SVG_MARGIN + 12, title, bold=True)
    return "\n".join([head, f"<title>{_safe(title)}</title>", _SVG_STYLE, paper, heading, *lines, "</svg>", ""])


def _svg_disk(disk: DiskLayout, number: int, top: int) -> tuple[list[str], int]:
    """The elements of a disk whose heading begins at ``top``, and how high they are together."""
    lines = [_svg_text(_SVG_MARGIN, top + 22, f"disk {number}: {human(disk.size)}, {table_name(disk)}")]
    parts = segments(disk)
    widths = _widths([one.size for one in parts], _SVG_WIDTH - 2 * _SVG_MARGIN, _SVG_NARROWEST)
    at, row, bar = _SVG_MARGIN, top + _BAR_TOP + _BAR_HEIGHT + 6, top + _BAR_TOP
    for index, (one, width) in enumerate(zip(parts, widths, strict=True)):
        colour = _COLOURS[index % len(_COLOURS)] if one.area is not None else "#dddddd"
        lines += _svg_segment(one, at, bar, width, colour)
        label = f"unused {human(one.size)}" if one.area is None else _described(one.area)
        lines.append(f'<rect x="{_SVG_MARGIN}" y="{row + 3}" width="12" height="12" fill="{colour}"/>')
        lines.append(_svg_text(_SVG_MARGIN + 20, row + 14, label))
        at, row = at + width, row + _ROW_HEIGHT
    return lines, row - top + 10


def _svg_segment(segment: Segment, x: int, y: int, width: int, colour: str) -> Iterator[str]:
    area = segment.area
    share = min(1.0, area.used / area.size) if area is not None and area.used is not None and area.size else 0.0
    tip = f"unused {human(segment.size)}" if area is None else _described(area)
    place = f'x="{x}" y="{y}" height="{_BAR_HEIGHT}" fill="{colour}"'
    yield f'<g><title>{_safe(tip)}</title><rect {place} width="{width}" fill-opacity="0.35" stroke="#ffffff"/>'
    yield f'<rect {place} width="{width * share:.1f}"/></g>'


def _svg_text(x: int, y: int, content: str, *, bold: bool = False) -> str:
    weight = f" font-weight={quoteattr('bold')}" if bold else ""
    return f'<text x="{x}" y="{y}" fill="#222222"{weight}>{_safe(content)}</text>'


def _safe(content: str) -> str:
    """Text of a document: what XML cannot contain, and what is invisible, is shown as an escape."""
    return escape(one_line(content))


def _described(area: DiskArea) -> str:
    used = "" if area.used is None else f", {human(area.used)} used"
    names = " ".join(
        filter(None, (str(area.number or area.name), area.mountpoint, area.filesystem or type_name(area.type)))
    )
    return f"{names}, {human(area.size)}{used}"


def table_name(disk: DiskLayout) -> str:
    """What people call the kind of partition table."""
    return {"gpt": "GPT", "dos": "MBR", "": "no partition table"}.get(disk.table, disk.table)
