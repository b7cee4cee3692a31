"""The feed of new versions: Atom, RFC 4287. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from imagebuild.page import loose_json, wording
from imagebuild.page.facts import VersionRow
from imagebuild.printable import one_line

ATOM = "http://www.w3.org/2005/Atom"
MOST = 50
"""So many versions are listed, the newest ones."""
_OURS = uuid.uuid5(uuid.NAMESPACE_URL, "urn:imagebuild:page")
_OLDEST = datetime(1970, 1, 1, tzinfo=UTC)
ET.register_namespace("atom", ATOM)


def text(rows: Sequence[VersionRow], title: str, base_url: str | None) -> str:
    """The feed. Without ``base_url``, which ends with a slash, its links are relative to itself, which
    RFC 4287 (4.2.7.1) permits but not every reader resolves.
    """
    base = base_url or ""
    newest = sorted((one for one in rows if not one.why), key=lambda one: (_updated(one), one.path), reverse=True)[
        :MOST
    ]
    feed = ET.Element("feed", {"xmlns": ATOM, "xml:lang": "en"})
    _add(feed, "id", _id(base or title))
    _add(feed, "title", title)
    _add(feed, "updated", _written(_updated(newest[0]) if newest else _OLDEST))
    if base:
        ET.SubElement(feed, "link", {"rel": "self", "type": "application/atom+xml", "href": f"{base}feed.xml"})
    ET.SubElement(feed, "link", {"rel": "alternate", "type": "text/html", "href": f"{base}index.html"})
    _add(ET.SubElement(feed, "author"), "name", title)
    _add(feed, "generator", "imagebuild")
    for row in newest:
        _entry(feed, row, base, title)
    ET.indent(feed, " ")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(feed, encoding="unicode")}\n'


def _entry(feed: ET.Element, row: VersionRow, base: str, title: str) -> None:
    entry = ET.SubElement(feed, "entry")
    _add(entry, "id", _id(base or title, row.path, row.sha256))
    failed = " (verification failed)" if row.verdict == "failed" else ""
    _add(entry, "title", f"{row.image} {row.version}{failed}")
    _add(entry, "updated", _written(_updated(row)))
    href = f"{base}{wording.url(row.path)}/index.html"
    ET.SubElement(entry, "link", {"rel": "alternate", "type": "text/html", "href": href})
    ET.SubElement(entry, "category", {"term": one_line(row.image)})
    _add(entry, "summary", _summary(row))


def _summary(row: VersionRow) -> str:
    verified = {"passed": "verified", "failed": "verification failed"}.get(row.verdict, "not verified")
    packages = f"{row.packages} packages" if row.packages is not None else ""
    size = wording.size(row.size) if row.size is not None else ""
    return "; ".join(filter(None, (row.description, size, packages, verified, row.changes))) or row.version


def _updated(row: VersionRow) -> datetime:
    """When it was built; for an artifact that does not say so, the day in its version."""
    return loose_json.time(row.built) or loose_json.time(row.version[:10]) or _OLDEST


def _written(time: datetime) -> str:
    """RFC 3339, as RFC 4287 (3.3) wants it."""
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _id(*parts: str) -> str:
    """The same for the same version as long as the address, or the title, of the page is the same."""
    return uuid.uuid5(_OURS, "\n".join(parts).encode(errors="backslashreplace").decode()).urn


def _add(parent: ET.Element, name: str, content: str) -> None:
    ET.SubElement(parent, name).text = one_line(content)
