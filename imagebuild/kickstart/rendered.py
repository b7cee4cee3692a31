"""A kickstart and the origin of its lines: what is linted, however it was made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from imagebuild.errors import Problem, Severity


@dataclass(frozen=True)
class Origin:
    """A line of a template; ``via`` lists the lines that called or included it, innermost first."""

    file: str
    line: int
    via: tuple[tuple[str, int], ...] = ()


def _unknown() -> tuple[Origin | None, ...]:
    return ()


@dataclass(frozen=True)
class Rendered:
    """A kickstart: its text, and the template that it was rendered from.

    ``trace`` returns the origin of each line (None if not known). It is called only when a problem
    is reported.
    """

    text: str
    template: Path
    trace: Callable[[], tuple[Origin | None, ...]] = field(default=_unknown, compare=False, repr=False)

    @cached_property
    def line_origins(self) -> tuple[Origin | None, ...]:
        """The origin of each line of the text."""
        return self.trace()

    def problem(
        self,
        line: int | None,
        message: str,
        hint: str | None = None,
        *,
        rule: str | None = None,
        severity: Severity = "error",
    ) -> Problem:
        """A problem at a rendered line (from 1), reported at the template's line."""
        origins = self.line_origins if line else ()
        origin = origins[line - 1] if line and 0 < line <= len(origins) else None
        if origin is None:
            where = f"line {line} of the kickstart" if line else ""
            return Problem(str(self.template), None, where, message, hint, rule, severity)
        via = "".join(f", used by {file}:{number}" for file, number in origin.via)
        return Problem(origin.file, origin.line, "", f"{message}{via}", hint, rule, severity)
