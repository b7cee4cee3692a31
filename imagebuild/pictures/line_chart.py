"""One figure over several versions of an image: a small curve without axes, or a chart with them.

Drawn with pygal (https://www.pygal.org). Of what it writes, only shapes and labels are kept; its
style sheet, script and comments, which differ from day to day, are not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any
from xml.etree import ElementTree as ET

from imagebuild.pictures import optional, svg
from imagebuild.printable import one_line

_CURVE_WIDTH, _CURVE_HEIGHT = 240, 56
_WIDTH, _HEIGHT = 760, 260
_LABELS = 10
"""About so many versions are named below a chart."""
_CURVE_STYLE = (
    "path{fill:none;stroke:#3b6fb5;stroke-width:2}circle{fill:#3b6fb5}"
    "@media (prefers-color-scheme:dark){path{stroke:#7fb0f5}circle{fill:#7fb0f5}}"
)
_STYLE = (
    "text{fill:#3d444d;font:12px system-ui,'Segoe UI','DejaVu Sans',Arial,sans-serif}"
    ".y text{text-anchor:end}.x text{text-anchor:start}.line{fill:none;stroke:#9aa4af}"
    ".guide{stroke:#d8dee4}.series .line{stroke:#3b6fb5;stroke-width:2}circle{fill:#3b6fb5}.page{fill:#fff}"
    "@media (prefers-color-scheme:dark){text{fill:#c3ccd6}.line{stroke:#6b7682}.guide{stroke:#343c46}"
    ".series .line{stroke:#7fb0f5}circle{fill:#7fb0f5}.page{fill:#161b22}}"
)
_LONG_NUMBER = re.compile(r"(\d+\.\d)\d+")
Format = Callable[[float], str]


def curve(values: Sequence[float | None], title: str) -> str:
    """The values, oldest first, as a small SVG; None is a gap. Raises HostError without pygal."""
    chart = _chart(
        width=_CURVE_WIDTH, height=_CURVE_HEIGHT, margin=5, spacing=0, show_x_labels=False, show_y_labels=False,
        show_y_guides=False, range=_range(values),
    )  # fmt: skip
    chart.add("", list(values))
    drawn = svg.parsed(_rendered(chart))
    size = {"width": str(_CURVE_WIDTH), "height": str(_CURVE_HEIGHT)}
    root = ET.Element(svg.tag("svg"), {"viewBox": f"0 0 {_CURVE_WIDTH} {_CURVE_HEIGHT}", **size})
    plot = ET.SubElement(root, svg.tag("g"), {"transform": "translate(5 5)"})
    for path in drawn.iter(svg.tag("path")):
        if "line" in path.get("class", "").split():
            ET.SubElement(plot, svg.tag("path"), {"d": _short(path.get("d", ""))})
    known = [at for at, value in enumerate(values) if value is not None]
    circles = list(drawn.iter(svg.tag("circle")))
    for at, circle in zip(known, circles, strict=False):
        alone = at - 1 not in known and at + 1 not in known
        if alone or at == known[-1]:
            place = {name: _short(circle.get(name, "0")) for name in ("cx", "cy")}
            ET.SubElement(plot, svg.tag("circle"), {**place, "r": "3"})
    return svg.finished(root, title=title, description=title, style=_CURVE_STYLE)


def chart(labels: Sequence[str], values: Sequence[float | None], title: str, shown: Format) -> str:
    """The values, oldest first, as an SVG with axes. ``shown`` writes a value with its unit. Raises
    HostError without pygal.
    """
    drawing = _chart(
        width=_WIDTH, height=_HEIGHT, margin=12, margin_right=60, x_label_rotation=25, range=_range(values),
        y_labels_major_count=3, show_minor_y_labels=True, max_scale=6, min_scale=3,
        value_formatter=shown, x_labels_major_every=-(-len(labels) // _LABELS), show_minor_x_labels=False,
    )  # fmt: skip
    drawing.x_labels = [one_line(label) for label in labels]
    drawing.add("", list(values))
    root = svg.parsed(_rendered(drawing))
    for name in ("id", "class"):
        root.attrib.pop(name, None)
    _strip(root)
    for own_title in root.findall(svg.tag("title")):
        root.remove(own_title)
    for group in root.iter(svg.tag("g")):
        svg.name_values(group)
    root.insert(0, svg.page(_WIDTH, _HEIGHT))
    pairs = (f"{label} {shown(value)}" for label, value in zip(labels, values, strict=True) if value is not None)
    return svg.finished(root, title=title, description=f"{', '.join(pairs)}.", style=_STYLE)


def _range(values: Sequence[float | None]) -> tuple[float, float]:
    """The values that the axis covers: all of them, and a twentieth more on each side."""
    known = [value for value in values if value is not None]
    low, high = min(known), max(known)
    room = (high - low) / 20 or max(abs(high) / 20, 1.0)
    return max(0.0, low - room), high + room


def _chart(**options: Any) -> Any:
    pygal = optional.library("pygal", "a plot")
    return pygal.Line(
        js=(), no_prefix=True, explicit_size=True, pretty_print=False, show_legend=False, allow_interruptions=True,
        show_x_guides=False, no_data_text="", dots_size=3, **options,
    )  # fmt: skip


def _rendered(chart: Any) -> str:
    made = chart.render(disable_xml_declaration=True)
    return made.decode() if isinstance(made, bytes) else str(made)


def _strip(parent: ET.Element) -> None:
    """Remove definitions, backgrounds and empty groups; shorten numbers."""
    for child in list(parent):
        if child.tag == svg.tag("defs") or child.get("class") in ("background", "plot tooltip-overlay"):
            parent.remove(child)
            continue
        _strip(child)
        if child.tag == svg.tag("g") and not len(child):
            parent.remove(child)
    for name, value in parent.attrib.items():
        if name not in ("class", "viewBox"):
            parent.set(name, _short(value))


def _short(numbers: str) -> str:
    return _LONG_NUMBER.sub(r"\1", numbers)
