"""The last builds as a chart: the time of each step, stacked, and the sizes of the images below.

Drawn with pygal (https://www.pygal.org). What it adds for browsers with scripts is removed again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from xml.etree import ElementTree as ET

from imagebuild.pictures import optional, svg
from imagebuild.printable import one_line
from imagebuild.schema.section import MIB
from imagebuild.store.history import Build

_WIDTH, _TIMES, _SIZES = 1000, 420, 300
_COLOURS = ("#4c78a8", "#f58518", "#54a24b", "#b279a2", "#e45756", "#72b7b2", "#9d755d", "#8a8f98")
"""As in the picture of a disk: readable on light and dark pages."""
_LABEL = 40
_NOTHING = "0 min"
"""What pygal takes a step for that did not run."""
_STYLE = """
.page{fill:#fff}
svg text,svg .title,svg .legends .legend text,svg .axis text{
fill:#1f2328!important;font-family:system-ui,"Segoe UI","DejaVu Sans",Arial,sans-serif!important}
svg .background,svg .plot>.background{fill:none!important}
svg .guides path,svg .guide.line{stroke:#d1d9e0!important}
svg .axis>.line{stroke:#59636e!important}
@media (prefers-color-scheme:dark){
.page{fill:#0d1117}
svg text,svg .title,svg .legends .legend text,svg .axis text{fill:#f0f6fc!important}
svg .guides path,svg .guide.line{stroke:#3d444d!important}
svg .axis>.line{stroke:#9198a1!important}
}
"""


def picture(builds: Sequence[Build]) -> str:
    """The builds, oldest first, as SVG. Raises HostError if the package pygal is not installed."""
    pygal = optional.library("pygal", "a chart")
    several = len({build.recipe for build in builds}) > 1
    labels = [_label(build, several=several) for build in builds]
    size = {"width": str(_WIDTH), "height": str(_TIMES + _SIZES)}
    root = ET.Element(svg.tag("svg"), {"viewBox": f"0 0 {_WIDTH} {_TIMES + _SIZES}", **size})
    root.append(svg.page(_WIDTH, _TIMES + _SIZES))
    for top, height, chart in ((0, _TIMES, _times(pygal, builds)), (_TIMES, _SIZES, _sizes(pygal, builds))):
        chart.x_labels = labels
        part = svg.parsed(chart.render(disable_xml_declaration=True))
        part.attrib |= {"y": str(top), "width": str(_WIDTH), "height": str(height)}
        for group in part.iter(svg.tag("g")):
            svg.name_values(group, nothing=_NOTHING)
        root.append(part)
    recipes = ", ".join(dict.fromkeys(one_line(build.recipe) for build in builds))
    said = [_said(build, label) for build, label in zip(builds, labels, strict=True)]
    title = f"The last {len(builds)} builds of {recipes}: time of each step, and size"
    return svg.finished(root, title=title, description=". ".join(said) + ".", style=_STYLE)


def _times(pygal: Any, builds: Sequence[Build]) -> Any:
    chart = pygal.StackedBar(
        **_common(pygal, _TIMES),
        title="Minutes of each step that ran",
        value_formatter=lambda value: f"{value:.1f} min" if value else _NOTHING,
    )
    ran = {step.name for build in builds for step in build.steps if step.seconds is not None}
    names = dict.fromkeys(step.name for build in builds for step in build.steps)  # in the order of the plan
    for name in (name for name in names if name in ran):
        spent = [
            next((step.seconds / 60 for step in build.steps if step.name == name and step.seconds is not None), None)
            for build in builds
        ]
        chart.add(one_line(name), spent)
    return chart


def _sizes(pygal: Any, builds: Sequence[Build]) -> Any:
    chart = pygal.Line(
        **_common(pygal, _SIZES), title="MiB of the image", allow_interruptions=True,
        value_formatter=lambda value: f"{value:.0f} MiB", include_x_axis=True,
    )  # fmt: skip
    for recipe in dict.fromkeys(build.recipe for build in builds):
        sizes = [build.size / MIB if build.recipe == recipe and build.size is not None else None for build in builds]
        chart.add(one_line(recipe), sizes)
    return chart


def _common(pygal: Any, height: int) -> dict[str, Any]:
    style = pygal.style.Style(
        background="transparent", plot_background="transparent", colors=_COLOURS, opacity="1", opacity_hover="1",
        font_family="DejaVu Sans,Arial,sans-serif", title_font_size=15, label_font_size=11, major_label_font_size=11,
        legend_font_size=12, transition="none",
    )  # fmt: skip
    return {
        "style": style,
        "js": (),
        "width": _WIDTH,
        "height": height,
        "explicit_size": True,
        "pretty_print": False,
        "legend_at_bottom": False,
        "truncate_label": _LABEL,
        "truncate_legend": 24,
        "x_label_rotation": 30,
        "no_data_text": "nothing recorded",
        "human_readable": True,
        "show_y_guides": True,
    }


def _label(build: Build, *, several: bool) -> str:
    began = f"{datetime.fromisoformat(build.began):%Y-%m-%d %H:%M}"
    text = build.version or f"{began} {build.outcome or 'unfinished'}"
    return one_line(f"{build.recipe} {text}" if several else text)


def _said(build: Build, label: str) -> str:
    steps = [f"{one_line(one.name)} {one.seconds / 60:.1f} min" for one in build.steps if one.seconds is not None]
    size = [f"{build.size / MIB:.0f} MiB"] if build.size is not None else []
    return f"{label}: {', '.join([*steps, *size]) or 'no step ran'}"
