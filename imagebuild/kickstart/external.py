"""Kickstart files that no recipe renders: they are checked as they are; files that they include are
not read.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO

from pykickstart.version import versionMap

from imagebuild.errors import Problem, UsageError
from imagebuild.kickstart import rule as rules
from imagebuild.kickstart.check import CheckReport, lint
from imagebuild.kickstart.parse import MAX_BYTES
from imagebuild.kickstart.render import Rendered
from imagebuild.kickstart.rule import KickstartTarget
from imagebuild.kickstart.source_map import Origin
from imagebuild.schema.findings import did_you_mean

NEWEST = "DEVEL"
"""pykickstart's name for the newest syntax that it knows."""
STDIN = "-"
_OWN_SYNTAX = re.compile(r"^#version=(\w+)\s*$", re.MULTILINE)


def known_syntax(name: str) -> str:
    """``name`` as pykickstart spells it. Raises UsageError for an unknown syntax."""
    found: str | None = next((one for one in versionMap if one.lower() == name.lower()), None)
    if found is None:
        raise UsageError(f"unknown kickstart syntax: {name!r}", did_you_mean(name.upper(), versionMap))
    return found


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
    own = _OWN_SYNTAX.search(text)
    version = syntax or (own[1] if own and own[1] in versionMap else NEWEST)
    rendered = Rendered(
        text, Path(name), lambda: tuple(Origin(name, line + 1) for line, _ in enumerate(text.splitlines()))
    )
    return lint(rendered, version=version, target=KickstartTarget())


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
