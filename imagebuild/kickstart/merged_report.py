"""The findings of many images together: what several of them have in common is told once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from imagebuild.errors import Problem
from imagebuild.kickstart.check import CheckReport, Place, is_unused


@dataclass
class Gathered:
    """Findings by the number of images that have them."""

    images: dict[Problem, int] = field(default_factory=dict)
    _used: set[Place] = field(default_factory=set)

    def add(self, report: CheckReport) -> None:
        """What was found in one kickstart."""
        self._used |= report.used
        self.tell(report.findings)

    def tell(self, problems: Iterable[Problem]) -> None:
        """Problems of one image, or of a recipe."""
        for problem in dict.fromkeys(problems):
            self.images[problem] = self.images.get(problem, 0) + 1

    def problems(self) -> list[Problem]:
        """Each finding once, by file and line; that a silence is of no use only if it is so in all images."""
        serving = {(file, line) for file, line, _ in self._used}
        told = [one for one in self.images if not (is_unused(one) and (one.file, one.line) in serving)]
        return sorted(told, key=lambda one: (one.file, one.line or 0))

    def described(self) -> list[Problem]:
        """``problems``, those of several images with their number in the message."""
        return [_in_images(problem, self.images[problem]) for problem in self.problems()]


def _in_images(problem: Problem, number: int) -> Problem:
    return replace(problem, message=f"{problem.message} (in {number} images)") if number > 1 else problem
