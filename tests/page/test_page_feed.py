"""The feed of new versions, against the requirements of RFC 4287 and read by feedparser."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import feedparser
import pytest
from page_artifacts import HOSTILE

from imagebuild.page import feed
from imagebuild.page.facts import VersionRow

BASE = "https://images.example.org/builds/"
ATOM = f"{{{feed.ATOM}}}"
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def row(day: int, image: str = "web", **fields: object) -> VersionRow:
    values = {"built": f"2026-11-{day:02}T03:00:00+00:00", "size": 175 << 20, "packages": 236, "sha256": f"{day:064x}"}
    return VersionRow(image=image, version=f"2026-11-{day:02}.1", **(values | fields))  # type: ignore[arg-type]


ROWS = [
    row(3, verdict="passed", changes="packages: 2 upgraded"),
    row(2, verdict="failed", description=HOSTILE + "\x00\ud800"),
    row(1, built=""),
    row(4, "base"),
    row(5, why="it is no artifact"),
]


@pytest.mark.parametrize("base", [BASE, None])
def test_the_feed_has_what_the_rfc_demands(base: str | None) -> None:
    root = ET.fromstring(feed.text(ROWS, "Images <of> all", base))
    assert root.tag == f"{ATOM}feed"
    for element in (root, *root.findall(f"{ATOM}entry")):
        for name in ("id", "title", "updated"):  # 4.1.1, 4.1.2: exactly one of each
            assert len(element.findall(f"{ATOM}{name}")) == 1
        assert RFC3339.fullmatch(element.findtext(f"{ATOM}updated") or "")
        assert (element.findtext(f"{ATOM}id") or "").startswith("urn:uuid:")
        alternates = [one for one in element.findall(f"{ATOM}link") if one.get("rel") == "alternate"]
        assert len(alternates) == 1
    assert len(root.findall(f"{ATOM}author")) == 1, "so the entries need none"
    ids = [one.text for one in root.iter(f"{ATOM}id")]
    assert len(set(ids)) == len(ids) == 5
    assert len([one for one in root.findall(f"{ATOM}link") if one.get("rel") == "self"]) == (base is not None)


def test_feedparser_reads_it_back() -> None:
    read = feedparser.parse(feed.text(ROWS, "Images", BASE))
    assert not read.bozo
    assert read.version == "atom10"
    titles = ["base 2026-11-04.1", "web 2026-11-03.1", "web 2026-11-02.1 (verification failed)", "web 2026-11-01.1"]
    assert [one.title for one in read.entries] == titles
    assert read.entries[1].link == f"{BASE}images/web/2026-11-03.1/index.html"
    assert read.entries[1].summary == "175 MiB; 236 packages; verified; packages: 2 upgraded"
    assert read.entries[2].summary_detail.type == "text/plain"
    assert r"\x1b[31m\u202e" in read.entries[2].summary
    assert read.feed.updated == "2026-11-04T03:00:00Z"
    assert read.entries[3].updated == "2026-11-01T00:00:00Z", "the day in its version"


def test_an_entry_keeps_its_id_and_another_image_gets_another() -> None:
    def ids(*rows: VersionRow, base: str | None = BASE) -> list[str]:
        return [one.id for one in feedparser.parse(feed.text(rows, "Images", base)).entries]

    assert ids(row(3)) == ids(row(3, verdict="passed", description="other"))
    assert ids(row(3)) != ids(row(3, sha256="f" * 64))
    assert ids(row(3)) != ids(row(3), base="https://example.org/")


def test_only_the_newest_versions_are_listed() -> None:
    rows = [row(1 + number % 28, f"image-{number}") for number in range(120)]
    assert len(feedparser.parse(feed.text(rows, "Images", None)).entries) == feed.MOST


def test_a_feed_without_versions_is_valid() -> None:
    read = feedparser.parse(feed.text([], "Images", None))
    assert not read.bozo
    assert read.feed.updated == "1970-01-01T00:00:00Z"
