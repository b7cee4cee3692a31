"""What `build` says at its end: where the time went, and what to do next."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from imagebuild.cli.lines import minutes
from imagebuild.cli.output import shown
from imagebuild.errors import ImageBuildError
from imagebuild.host.hints import command_line
from imagebuild.progress import Progress, Reporter

_OUTPUT = Path("artifacts")
_LEAST = 1.0
"""Seconds below which a step is not worth a line."""


class TimedReporter:
    """Passes everything on to ``reporter``, and measures the steps that end well."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._began = time.monotonic()
        self.seconds: dict[str, float] = {}

    @property
    def total(self) -> float:
        """Seconds since this reporter was made."""
        return time.monotonic() - self._began

    @contextmanager
    def step(self, recipe: str, name: str, expected: float | None = None) -> Iterator[Progress]:
        begin = time.monotonic()
        with self._reporter.step(recipe, name, expected) as progress:
            yield progress
        self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - begin

    def note(self, recipe: str, text: str) -> None:
        self._reporter.note(recipe, text)


def times(seconds: Mapping[str, float], total: float) -> list[str]:
    """A table of the steps that ran, with the share of each in ``total`` seconds; no lines if all
    were short. With several images, or steps side by side, the shares may add up to more than 100 %.
    """
    long = {name: took for name, took in seconds.items() if took >= _LEAST}
    if not long or total <= 0:
        return []
    width = max(len(shown(name)) for name in long)
    lines = [f"where the time went ({minutes(total)}):"]
    lines += [f"  {shown(name):<{width}} {minutes(took):>6} {took / total:>5.0%}" for name, took in long.items()]
    if sum(long.values()) > total * 1.01:
        lines.append("  (some of it at the same time)")
    return lines


@dataclass(frozen=True)
class BuiltImage:
    """An image that was built: its recipe's name, the folder for artifacts, the folder of the version
    before it, and whether it has been verified.
    """

    recipe: str
    output: Path
    previous: Path | None
    verified: bool


def has_places() -> bool:
    """Whether the project's file names a place to publish to."""
    from imagebuild.project.load import load  # imported late: it is needed only at the end of a build

    config = os.environ.get("IMAGEBUILD_CONFIG")
    try:
        return bool(load(Path(config) if config else None).entries)
    except (ImageBuildError, OSError):
        return False  # `imagebuild hosts` says what is wrong with it


def next_steps(built: BuiltImage, *, project: bool) -> list[str]:
    """The commands that a user is likely to need next; ``project`` says whether the project names
    hosts to publish to.
    """
    given = Path(os.environ.get("IMAGEBUILD_OUTPUT") or _OUTPUT)
    where: tuple[str | Path, ...] = () if built.output == given else ("--output", built.output)
    commands: list[tuple[tuple[str | Path, ...], str]] = [
        (("run", *where, built.recipe), "start a throwaway machine of it")
    ]
    if built.previous is not None:
        commands.append(
            (("diff", *where, built.previous, built.recipe), f"what has changed since {built.previous.name}")
        )
    if not built.verified:
        commands.append((("verify", *where, built.recipe), "boot two clones of it and check them"))
    if project:
        commands.append((("publish", *where, built.recipe, "--to", "all"), "make it the current template on all hosts"))
    lines = [(command_line("imagebuild", *words), why) for words, why in commands]
    width = max(len(shown(command)) for command, _ in lines)
    return ["next:", *(f"  {shown(command):<{width}}  {why}" for command, why in lines)]
