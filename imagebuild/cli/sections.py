r"""Sections that CI systems fold in a log, each with the lines of one step.

GitLab: ``\e[0Ksection_start:TIME:NAME[collapsed=true]\r\e[0KTITLE`` and ``\e[0Ksection_end:TIME:NAME\r\e[0K``, with
seconds since 1970 and a name of letters, digits, ``_``, ``.`` and ``-``; GitLab shows the duration
(https://docs.gitlab.com/ci/jobs/job_logs/#create-custom-collapsible-sections).

GitHub: ``::group::TITLE`` and ``::endgroup::``
(https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#grouping-log-lines); groups cannot
be nested, and a line that begins with ``::``, or has ``##[`` anywhere, is a command to the runner
(https://github.com/actions/runner, src/Runner.Common/ActionCommand.cs).

Neither system can show two sections at the same time. So one running step has the open section; what
others say is kept until that has ended.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from imagebuild.cli.lines import RunningStep
from imagebuild.cli.output import echo, echo_marker, shown


class SectionSyntax(Protocol):
    """How a CI system marks sections. Markers are printed as they are; times are in seconds since 1970."""

    def start(self, name: str, title: str, at: float) -> None: ...

    def end(self, name: str, at: float) -> None: ...

    def text(self, line: str) -> str:
        """A line that the CI system does not take for a command."""


class GitLabSections:
    """The sections of GitLab."""

    def start(self, name: str, title: str, at: float) -> None:
        echo_marker(f"\x1b[0Ksection_start:{at:.0f}:{name}[collapsed=true]\r\x1b[0K", title)

    def end(self, name: str, at: float) -> None:
        echo_marker(f"\x1b[0Ksection_end:{at:.0f}:{name}\r\x1b[0K", "")

    def text(self, line: str) -> str:
        return line


class GitHubGroups:
    """The groups of GitHub Actions."""

    def start(self, name: str, title: str, at: float) -> None:
        del name, at
        echo_marker("::group::", self.text(title).replace("%", "%25"))

    def end(self, name: str, at: float) -> None:
        del name, at
        echo_marker("::endgroup::", "")

    def text(self, line: str) -> str:
        line = line.replace("##[", "## [")
        return f". {line}" if line.lstrip().startswith("::") else line


@dataclass
class _Section:
    step: RunningStep
    name: str
    began: float
    lines: list[str] = field(default_factory=list)
    last: list[str] = field(default_factory=list)
    ended: float | None = None


class Sections:
    """The log of the steps, in sections; ``now`` gives seconds since 1970."""

    def __init__(self, syntax: SectionSyntax, now: Callable[[], float] = time.time) -> None:
        self._syntax, self._now = syntax, now
        self._open: _Section | None = None
        self._kept: list[_Section] = []
        self._outside: list[Callable[[], None]] = []
        self._count = 0
        self._lock = threading.RLock()

    def begin(self, step: RunningStep) -> None:
        """A step begins."""
        with self._lock:
            self._count += 1
            word = re.sub(r"[^A-Za-z0-9_.-]", "_", f"{step.recipe}_{step.name}")
            self._kept.append(_Section(step, f"imagebuild_{self._count}_{word}", self._now()))
            if self._open is None:
                self._start(self._kept[0])

    def say(self, step: RunningStep, line: str) -> None:
        """A line of a running step."""
        with self._lock:
            if self._open is not None and self._open.step is step:
                echo(self._syntax.text(line))
            else:
                self._of(step).lines.append(line)

    def end(self, step: RunningStep, last: list[str]) -> None:
        """A step has ended; ``last`` is printed after its section, where it is always visible."""
        with self._lock:
            section = self._of(step)
            section.ended, section.last = self._now(), last
            if section is not self._open:
                return
            self._end(section)
            for other in [one for one in self._kept if one.ended is not None]:
                self._start(other)
                self._end(other)
            for call in self._outside:
                call()
            self._outside.clear()
            if self._kept:
                self._start(self._kept[0])

    def outside(self, call: Callable[[], None]) -> None:
        """Call what prints something that must not be folded, as soon as no section is open."""
        with self._lock:
            if self._open is None:
                call()
            else:
                self._outside.append(call)

    def _of(self, step: RunningStep) -> _Section:
        there = [*([self._open] if self._open else []), *self._kept]
        return next(one for one in there if one.step is step)

    def _start(self, section: _Section) -> None:
        self._kept.remove(section)
        self._open = section
        self._syntax.start(section.name, f"{shown(section.step.recipe)}  {shown(section.step.name)}", section.began)
        for line in section.lines:
            echo(self._syntax.text(line))

    def _end(self, section: _Section) -> None:
        self._open = None
        self._syntax.end(section.name, section.ended or self._now())
        for line in section.last:
            echo(self._syntax.text(line))
