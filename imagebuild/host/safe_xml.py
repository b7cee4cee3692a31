"""Reads libvirt's XML that nobody trusts. Pure."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from imagebuild.errors import UsageError

LONGEST = 4 << 20
"""The most characters that are read."""
_DEEPEST = 32
"""The most elements within each other: libvirt's schema needs about ten."""


class _Checked(ET.TreeBuilder):
    """Refuses document types, without which there are no entities, and what is nested too deeply."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__()
        self._where = where
        self._what = what
        self._depth = 0

    def doctype(self, _name: str, _public: str | None, _system: str | None) -> None:
        raise UsageError(f"{self._where} contains a document type, which no {self._what} needs")

    def start(self, tag: str, attrs: dict[str, str], /) -> ET.Element:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise UsageError(f"{self._where} is no {self._what}: its elements are nested too deeply")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> ET.Element:
        self._depth -= 1
        return super().end(tag)


def any_root(text: str, where: str, what: str = "domain definition") -> ET.Element:
    """The root element. Raises UsageError, which names ``where``."""
    if len(text) > LONGEST:
        raise UsageError(f"{where} is no {what}: it is too large")
    try:
        return ET.fromstring(text, ET.XMLParser(target=_Checked(where, what)))  # noqa: S314 - refuses document types
    except ET.ParseError as error:
        raise UsageError(f"{where} is not valid XML: {error}") from error


def parsed(text: str, where: str, *, root: str = "domain", what: str = "domain definition") -> ET.Element:
    """The root element, which must be ``root``. Raises UsageError, which names ``where``."""
    found = any_root(text, where, what)
    if found.tag != root:
        raise UsageError(f"{where} is no {what}: its root element is {found.tag!r}")
    return found
