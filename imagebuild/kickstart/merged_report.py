"""The merged findings of many images: a finding that several images share is reported once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from imagebuild.errors import Problem
from imagebuild.kickstart.check import CheckReport, Place, is_unused


@dataclass
class Gathered:
    """Findings, and the number of images that have each."""

    images: dict[Problem, int] = field(default_factory=dict)
    _used: set[Place] = field(default_factory=set)

    def add(self, report: CheckReport) -> None:
        """Add the findings of one kickstart."""
        self._used |= report.used
        self.tell(report.findings)

    def tell(self, problems: Iterable[Problem]) -> None:
        """Add problems of one image, or of a recipe."""
        for problem in dict.fromkeys(problems):
            self.images[problem] = self.images.get(problem, 0) + 1

    def problems(self) -> list[Problem]:
        """Each finding once, sorted by file and line. A suppression counts as unused only if no
        image uses it.
        """
        used = {(file, line) for file, line, _ in self._used}
        shown = [one for one in self.images if not (is_unused(one) and (one.file, one.line) in used)]
        return sorted(shown, key=lambda one: (one.file, one.line or 0))

    def described(self) -> list[Problem]:
        """``problems``, with the number of images in the message if there are several."""
        return [_in_images(problem, self.images[problem]) for problem in self.problems()]


def _in_images(problem: Problem, number: int) -> Problem:
    return replace(problem, message=f"{problem.message} (in {number} images)") if number > 1 else problem
