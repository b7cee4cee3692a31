"""How findings are printed: lines for people, objects for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imagebuild.errors import Problem
    from imagebuild.events import ErrorReported


def lines(problems: Iterable[Problem]) -> list[str]:
    """Each problem as ``file:line: what [rule]``, with its hint below."""
    output: list[str] = []
    for problem in problems:
        rule = f" [{problem.rule}]" if problem.rule else ""
        output.append(f"{problem}{rule}")
        if problem.hint:
            output.append(f"    hint: {problem.hint}")
    return output


def as_data(problem: Problem) -> dict[str, Any]:
    """A problem as an object for JSON."""
    return dict(vars(problem))


def described(error: ErrorReported) -> list[str]:
    """An error as lines for people."""
    output = lines(error.problems) or [f"imagebuild: {error.message}"]
    output += [f"    | {line}" for line in error.console]
    output += [f"    hint: {error.hint}"] if error.hint else []
    return output + ([f"    logs: {error.evidence}"] if error.evidence else [])
