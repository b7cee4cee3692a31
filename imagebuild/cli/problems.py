"""How findings are printed: lines for people, objects for programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from imagebuild.errors import Problem


def lines(problems: Iterable[Problem]) -> list[str]:
    """Each problem as ``file:line: what [rule]``, with its hint below."""
    told: list[str] = []
    for problem in problems:
        rule = f" [{problem.rule}]" if problem.rule else ""
        told.append(f"{problem}{rule}")
        if problem.hint:
            told.append(f"    hint: {problem.hint}")
    return told


def as_data(problem: Problem) -> dict[str, Any]:
    """A problem as an object for JSON."""
    return dict(vars(problem))


def described(error: Mapping[str, Any]) -> list[str]:
    """An error, given as its JSON object, as lines for people."""
    told = lines(Problem(**problem) for problem in error.get("problems", ())) or [f"imagebuild: {error['message']}"]
    told += [f"    | {line}" for line in error.get("console", ())]
    told += [f"    hint: {error['hint']}"] if "hint" in error else []
    return told + ([f"    logs: {error['evidence']}"] if "evidence" in error else [])
