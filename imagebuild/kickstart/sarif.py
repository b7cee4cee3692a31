"""Findings as SARIF 2.1.0, which GitHub, GitLab and others show next to the lines of a change.

The format: https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/sarif-v2.1.0-os.html
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import imagebuild
from imagebuild.errors import Problem
from imagebuild.kickstart import rule as rules
from imagebuild.printable import one_line

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"
RECIPE = "recipe"
"""The rule id of findings that no kickstart rule reports."""
_BASE = "%SRCROOT%"


def log(problems: Iterable[Problem], folder: Path) -> dict[str, Any]:
    """A SARIF log of ``problems``; the paths of files below ``folder`` are relative to it."""
    described = [
        _rule(RECIPE, "Problem in the recipe itself", "The message says what was expected.", "error"),
        *(
            _rule(name, f"{name}: {text.split(',')[0].split(';')[0]}", text, "error")
            for name, text in rules.OWN.items()
        ),
        *(_rule(rule.name, rule.summary, rule.description, rule.severity) for rule in rules.described()),
    ]
    index = {rule["id"]: number for number, rule in enumerate(described)}
    driver = {"name": "imagebuild", "version": imagebuild.__version__, "rules": described}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {_BASE: {"description": {"text": "The folder in which imagebuild lint was run."}}},
        "results": [_result(problem, index, folder) for problem in problems],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(name: str, summary: str, description: str, severity: str) -> dict[str, Any]:
    return {
        "id": name,
        "shortDescription": {"text": f"{summary}."},
        "fullDescription": {"text": f"{summary}."},
        "help": {"text": description, "markdown": description},
        "defaultConfiguration": {"level": severity},
    }


def _result(problem: Problem, index: dict[str, int], folder: Path) -> dict[str, Any]:
    name = problem.rule if problem.rule in index else RECIPE
    where = f"{problem.where}: " if problem.where else ""
    hint = f" (hint: {problem.hint})" if problem.hint else ""
    place: dict[str, Any] = {"artifactLocation": _location(problem.file, folder)}
    if problem.line:
        place["region"] = {"startLine": problem.line}
    return {
        "ruleId": name,
        "ruleIndex": index[str(name)],
        "level": problem.severity,
        "message": {"text": one_line(f"{where}{problem.message}{hint}")},
        "locations": [{"physicalLocation": place}],
    }


def _location(file: str, folder: Path) -> dict[str, str]:
    path = (folder / file).resolve()
    root = folder.resolve()
    if path.is_relative_to(root):
        return {"uri": quote(os.fsencode(path.relative_to(root))), "uriBaseId": _BASE}
    return {"uri": path.as_uri()}
