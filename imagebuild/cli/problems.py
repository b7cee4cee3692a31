"""How findings are told: a line for people, an object for programs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from imagebuild.errors import Problem
from imagebuild.events import ErrorReported


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
    """A problem as JSON has it."""
    return dict(vars(problem))


def described(error: ErrorReported) -> list[str]:
    """An error in lines for people."""
    told = lines(error.problems) or [f"imagebuild: {error.message}"]
    told += [f"    | {line}" for line in error.console]
    told += [f"    hint: {error.hint}"] if error.hint else []
    return told + ([f"    logs: {error.evidence}"] if error.evidence else [])
