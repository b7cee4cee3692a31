"""Interprets the installer's console: progress, the success marker, signs of failure. Pure.

The known signs of failure are those of Anaconda (text mode, RHEL 7 and later), dracut, the kernel
and kickstrap. A dialog that waits for a key also counts as a failure, because nobody can press it.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field

SUCCESS = "imagebuild-success"
_KEPT = 200
"""Console lines that are kept for a failure report."""
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[()][0-9A-Z]|\x1b[=>]|[\x00-\x08\x0b-\x1f\x7f]")

_FAILURES = (
    (re.compile(r"^kickstrap: failed: (?P<what>.*)"), "{what}"),
    (re.compile(r"Kernel panic - not syncing: (?P<what>.*)"), "the kernel panicked: {what}"),
    (re.compile(r"dracut-initqueue.*(?:timeout|Could not boot)"),
        "the installer's initramfs did not find what it was waiting for"),
    (re.compile(r"Entering emergency mode"), "the installer entered its emergency shell"),
    (re.compile(r"The following error occurred while (?P<what>.*)"), "the installer failed while {what}"),
    (re.compile(r"(?P<what>Pane is dead.*)"), "the installer died: {what}"),
    (re.compile(r"An unknown error has occurred|anaconda.*exception report", re.IGNORECASE), "the installer crashed"),
    (re.compile(r"There was an error running the kickstart script(?P<what>.*)"), "a kickstart script failed{what}"),
)  # fmt: skip
_DIALOGS = re.compile(
    r"Prompt: '\?' for help|\[!!\]|Please make a selection|Would you like to|Press (?:ENTER|any key) to "
    r"(?:continue|exit|reboot)"
    r"|Give root password for maintenance"
)
_STEP = re.compile(r"^kickstrap: step (?P<at>\d+)/(?P<of>\d+) (?P<what>.*)")
_PROGRESS = re.compile(r"^kickstrap: progress (?P<percent>\d+) (?P<what>.*)")


_LONGEST = 1 << 16
"""The most characters kept of an unfinished line; a guest may print forever."""


@dataclass
class Console:
    """Gets the console's bytes as they arrive, and stores what they mean so far.

    ``started`` is True once kickstrap's agent runs, ``success`` once this build's nonce was
    printed; ``failure`` is a sentence once a sign of failure was seen; ``doing`` and ``fraction``
    (0.0 to 1.0) are for a progress display.
    """

    nonce: str
    started: bool = False
    success: bool = False
    failure: str | None = None
    waiting: bool = False
    doing: str = "starting"
    fraction: float | None = None
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT))
    _rest: str = ""

    def feed(self, data: bytes) -> None:
        """Process the next bytes of the console."""
        text = self._rest + data.decode("utf-8", "replace")
        *complete, rest = re.split(r"\r*\n", text)
        self._rest = rest[-_LONGEST:]
        for line in complete:
            self._line(line)
        if self._rest and not self.failure:
            self._look_for_dialog(_clean(self._rest))  # a prompt has no line end

    def last_lines(self, count: int = 20) -> tuple[str, ...]:
        """The last lines that are not empty, including an unfinished one."""
        lines = [*self.lines, _clean(self._rest)]
        return tuple([line for line in lines if line.strip()][-count:])

    def _line(self, raw: str) -> None:
        line = _clean(raw)
        self.lines.append(line)
        if line == "kickstrap: started":
            self.started = True
        if f"{SUCCESS}:{self.nonce}" in line:
            self.success = True
        if match := _STEP.match(line):
            self.doing = match["what"]
        elif match := _PROGRESS.match(line):
            self.doing, self.fraction = match["what"], min(int(match["percent"]), 100) / 100
        elif self.failure is None:
            self._look_for_failure(line)

    def _look_for_failure(self, line: str) -> None:
        for pattern, sentence in _FAILURES:
            if match := pattern.search(line):
                self.failure = sentence.format(**match.groupdict()).strip()
                return
        self._look_for_dialog(line)

    def _look_for_dialog(self, line: str) -> None:
        if not self.success and _DIALOGS.search(line):
            self.failure = f"the installer is waiting for an answer that nobody can give: {line.strip()}"
            self.waiting = True


def _clean(line: str) -> str:
    return _CONTROL.sub("", line.expandtabs())
