"""What all pictures have in common: a title and a description for those who do not see them, colours
for light and dark pages, no scripts and no links.

Accessible names: https://www.w3.org/TR/svg-aam-1.0/#mapping_additional_nd; dark pages:
https://www.w3.org/TR/mediaqueries-5/#prefers-color-scheme, which browsers also apply to an SVG in an ``img``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from xml.etree import ElementTree as ET

from imagebuild.printable import one_line

SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
ET.register_namespace("", SVG)
ET.register_namespace("xlink", _XLINK)


def tag(name: str) -> str:
    """The name of an SVG element as ElementTree has it."""
    return f"{{{SVG}}}{name}"


def parsed(text: str) -> ET.Element:
    """The root element of a picture that one of the libraries has drawn from escaped texts."""
    return ET.fromstring(text)  # noqa: S314 - it does not come from outside


def finished(root: ET.Element, *, title: str, description: str, style: str) -> str:
    """The picture as text: with its names, with ``style``, and without scripts, links and comments."""
    _remove(root, lambda one: one.tag in (tag("script"), tag("a")) or not isinstance(one.tag, str))
    root.set("role", "img")
    root.set("aria-labelledby", "title description")
    for name, text in (("description", description), ("title", title)):
        element = ET.Element(tag("title" if name == "title" else "desc"), {"id": name})
        element.text = one_line(text)
        root.insert(0, element)
    sheet = ET.Element(tag("style"))
    sheet.text = style
    root.append(sheet)  # last, so that it overrides what the library has set
    return f"{ET.tostring(root, encoding='unicode')}\n"


def page(width: float, height: float, left: float = 0, top: float = 0) -> ET.Element:
    """A background, which is light or dark like the page."""
    size = {"x": f"{left:g}", "y": f"{top:g}", "width": f"{width:g}", "height": f"{height:g}"}
    return ET.Element(tag("rect"), {"class": "page", "fill": "#ffffff", **size})


def numbers(text: str) -> list[float]:
    """The numbers in an attribute such as ``viewBox``."""
    return [float(number) for number in re.findall(r"-?[0-9.]+", text)]


def name_values(group: ET.Element, nothing: str = "") -> None:
    """Give the bar or dot in a group of pygal's a title, which browsers show, unless its value is
    ``nothing``: pygal shows values with scripts only.
    """
    texts = {one.get("class"): one.text for one in group.findall(tag("desc")) if one.text}
    if texts.get("value", nothing) != nothing:
        title = ET.Element(tag("title"))
        title.text = ": ".join(filter(None, (texts.get("x_label"), texts["value"])))
        group.insert(0, title)
    for one in group.findall(tag("desc")):
        group.remove(one)


def _remove(parent: ET.Element, unwanted: Callable[[ET.Element], bool]) -> None:
    for child in list(parent):
        if unwanted(child):
            parent.remove(child)
        else:
            _remove(child, unwanted)
