"""Jenkins's schema of JUnit XML: junit-10.xsd of jenkinsci/xunit-plugin 8c515de (2025-11-15), under the MIT
licence that it begins with.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from lxml import etree


def check(text: str) -> None:
    """Raise what lxml raises for a document that Jenkins would not read."""
    _schema().assertValid(etree.fromstring(text.encode()))


@cache
def _schema() -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(Path(__file__).with_name("junit-10.xsd")))
