"""Files that a kickstart includes: its %pre scripts write them.

Anaconda runs %pre first, and reads the kickstart again with all that it includes. So does the agent:
``lines`` finds the lines that include a file, on the host too, and ``whole`` replaces them by the text
of the files, after %pre. Each line of the result has its origin.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .errors import InstallError
from .system_commands import SECTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Problem = tuple[int, str, str | None]
"""Line, message, hint."""
_WORD = "%include"
_OPENING = frozenset(SECTIONS) - {_WORD, "%ksappend"}
_PRE = "%pre"
_IN_THE_TEMPLATE = "put the text into the kickstart template itself"


class IncludingLine(NamedTuple):
    """A line (from 1) that includes the file ``path``, in ``section``; both may be empty."""

    line: int
    path: str
    section: str


class LineOrigin(NamedTuple):
    """Where a line is from: a line (from 1) of an included file, or of the kickstart itself if ``path``
    is empty.
    """

    path: str
    line: int

    def __str__(self) -> str:
        return f"{self.path} line {self.line}" if self.path else f"kickstart line {self.line}"


class WholeText(NamedTuple):
    """A kickstart with its included files, and the origin of each line."""

    text: str
    origins: tuple[LineOrigin, ...]


def place(origins: Sequence[LineOrigin], line: int) -> LineOrigin:
    """The origin of a line (from 1); without ``origins`` nothing is included."""
    return origins[line - 1] if 0 < line <= len(origins) else LineOrigin("", line)


class _Sections:
    """The section that the lines read so far end in; empty between sections."""

    def __init__(self) -> None:
        self.current = ""

    def read(self, line: str) -> str:
        """Take the next line; returns its first word if that means something here."""
        word = (line.split() or [""])[0]
        if word == "%end":
            self.current = ""
        elif word in _OPENING:
            self.current = word
        elif word != _WORD:
            return ""
        return word


def lines(text: str) -> Iterator[IncludingLine]:
    """The lines of a kickstart that include a file."""
    sections = _Sections()
    for number, line in enumerate(text.splitlines() if _WORD in text else (), 1):
        if sections.read(line) == _WORD:
            yield IncludingLine(number, _path(line), sections.current)


def _path(line: str) -> str:
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        words = line.split()
    return words[1] if len(words) > 1 else ""


def problems(text: str, *, unpacked: bool) -> Iterator[Problem]:
    """The lines that include something which is not there after %pre. ``unpacked``: the packages are in a
    root archive, so nothing that is included can change them.
    """
    headers = (line.split()[:1] for line in (text.splitlines() if _WORD in text else ()))
    written = any(words == [_PRE] for words in headers)
    for line, path, section in lines(text):
        if "://" in path:
            yield line, f"{_WORD} of a remote file is not supported by kickstrap", _IN_THE_TEMPLATE
        elif not path.startswith("/"):
            hint = f"{_IN_THE_TEMPLATE}, or write a file in %pre and include it by its whole path"
            yield line, f"{_WORD} of a file next to the kickstart is not supported by kickstrap", hint
        elif section == _PRE:
            yield line, f"{_WORD} in %pre is not supported by kickstrap", "read the file in the script"
        elif not written:
            yield line, f"{_WORD} of a file that no %pre writes is not supported by kickstrap", _IN_THE_TEMPLATE
        elif section == "%packages" and unpacked:
            message = f"{_WORD} in %packages is not supported by kickstrap if the host unpacks them"
            yield line, message, "set installer.payload: in-vm in the recipe"


def whole(text: str) -> WholeText:
    """``text`` with the files that it includes, and those that these include.

    Raises InstallError, with the line that includes it, if one of them cannot be read.
    """
    found: list[tuple[str, LineOrigin]] = []
    _read(text, "", (), _Sections(), found)
    return WholeText("".join(line for line, _ in found), tuple(origin for _, origin in found))


def _read(
    text: str, path: str, outer: tuple[str, ...], sections: _Sections, found: list[tuple[str, LineOrigin]]
) -> None:
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        origin = LineOrigin(path, number)
        word = sections.read(line)
        if word == _PRE and path:
            raise InstallError(f"{origin}: %pre in an included file would not run")
        if word != _WORD or sections.current == _PRE:
            ended = line.splitlines()[0] != line
            found.append((line if ended else f"{line}\n", origin))
            continue
        name = _path(line)
        if name in outer:
            raise InstallError(f"{origin}: {name} includes itself")
        _read(_content(name, origin), name, (*outer, name), sections, found)


def _content(name: str, origin: LineOrigin) -> str:
    try:
        if not Path(name).is_file():
            raise InstallError(f"{origin}: %include {name}: %pre has not written this file")
        return Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InstallError(f"{origin}: %include {name}: the file cannot be read: {why}") from error


def packages_in_files(included: WholeText) -> LineOrigin | None:
    """The first line of an included file that is in %packages."""
    sections = _Sections()
    for line, origin in zip(included.text.splitlines(), included.origins, strict=True):
        sections.read(line)
        if origin.path and sections.current == "%packages":
            return origin
    return None
