"""JUnit XML, as CI systems read it.

The elements and attributes are those of Jenkins's schema (jenkinsci/xunit-plugin, junit-10.xsd), which
GitLab and others read too: a test suite with its counts, and in it a test case for each result.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass

from imagebuild.printable import one_line


@dataclass(frozen=True)
class JunitCase:
    """A result. ``failure`` is why it failed and ``skipped`` why it did not run; each is empty otherwise.
    ``details`` are lines below the failure; ``seconds`` is how long it took.
    """

    classname: str
    name: str
    seconds: float = 0.0
    failure: str = ""
    details: Sequence[str] = ()
    skipped: str = ""


@dataclass(frozen=True)
class JunitSuite:
    """Results that belong together; ``timestamp`` is UTC (ISO 8601)."""

    name: str
    timestamp: str
    seconds: float
    cases: Sequence[JunitCase]


def text(suites: Sequence[JunitSuite]) -> str:
    """The suites as a document. Text from outside is made printable: XML cannot contain control characters."""
    root = ET.Element("testsuites")
    root.extend(map(_suite, suites))
    ET.indent(root)
    return f"<?xml version='1.0' encoding='utf-8'?>\n{ET.tostring(root, encoding='unicode')}\n"


def _suite(one: JunitSuite) -> ET.Element:
    suite = ET.Element(
        "testsuite",
        name=one_line(one.name),
        tests=str(len(one.cases)),
        failures=str(sum(bool(case.failure) for case in one.cases)),
        errors="0",
        skipped=str(sum(bool(case.skipped) for case in one.cases)),
        time=f"{one.seconds:.1f}",
        timestamp=one.timestamp,
    )
    suite.extend(map(_case, one.cases))
    return suite


def _case(one: JunitCase) -> ET.Element:
    case = ET.Element("testcase", classname=one_line(one.classname), name=one_line(one.name), time=f"{one.seconds:.1f}")
    if one.failure:
        failure = ET.SubElement(case, "failure", message=one_line(one.failure))
        failure.text = "\n".join(map(one_line, one.details))
    elif one.skipped:
        ET.SubElement(case, "skipped", message=one_line(one.skipped))
    return case
