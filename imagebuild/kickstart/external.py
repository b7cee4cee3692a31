"""Kickstart files that no recipe renders: they are checked as they are; files that they include are
not read.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from imagebuild.errors import Problem
from imagebuild.kickstart import rule as rules
from imagebuild.kickstart import syntax_version
from imagebuild.kickstart.check import CheckReport, lint
from imagebuild.kickstart.divide import MAX_BYTES
from imagebuild.kickstart.rendered import Origin, Rendered
from imagebuild.kickstart.rule import KickstartTarget

STDIN = "-"
_LINE_END = ("\n", "\r")


def read(stream: BinaryIO, name: str, syntax: str | None = None) -> CheckReport:
    """Check a kickstart file called ``name``.

    It is parsed with ``syntax``, else with the syntax of its own line ``#version=RHEL9``, else with
    the newest. Raises OSError.
    """
    content = stream.read(MAX_BYTES + 1)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # A text that is cut off in the middle of a character is too large, which is reported below.
        if len(content) <= MAX_BYTES:
            line = content[: error.start].count(b"\n") + 1
            message = (
                f"the byte 0x{content[error.start]:02X} is not UTF-8: this is not text, or it is in another encoding"
            )
            return CheckReport(None, (Problem(name, line, "", message, None, rules.SYNTAX),), frozenset())
        text = content.decode("utf-8", errors="replace")
    own = syntax_version.OwnSyntax(syntax) if syntax else syntax_version.own(text)
    rendered = Rendered(text, Path(name), lambda: _origins(name, text))
    report = lint(rendered, version=own.version, target=KickstartTarget())
    if own.problem is None:
        return report
    return report.warned(rendered.problem(*own.problem, rule=rules.SYNTAX, severity="warning"))


def _origins(name: str, text: str) -> tuple[Origin, ...]:
    """The line in an editor of each of pykickstart's lines, which also end at a form feed and the
    like.
    """
    found, line = [], 1
    for part in text.splitlines(keepends=True):
        found.append(Origin(name, line))
        line += part.endswith(_LINE_END)
    return tuple(found)


def read_file(path: Path, syntax: str | None = None) -> CheckReport:
    """Check the kickstart file ``path``; a file that cannot be read is a finding, too."""
    try:
        if not path.is_file():  # a pipe or a device may never end
            return _unreadable(path, "not a regular file" if path.exists() else "no such file")
        with path.open("rb") as stream:
            return read(stream, str(path), syntax)
    except OSError as error:
        return _unreadable(path, f"cannot read the file: {error.strerror}")


def _unreadable(path: Path, message: str) -> CheckReport:
    return CheckReport(None, (Problem(str(path), None, "", message, None, rules.SYNTAX),), frozenset())
