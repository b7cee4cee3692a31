"""Sections and keys in the formats of GLib's keyfiles (NetworkManager) and systemd.syntax(7), with
the text of every line preserved.

GLib: blanks around the key and before the value are ignored, ``#`` begins a comment, and lines
cannot be continued. systemd: ``;`` begins a comment too, and a backslash at the end joins the next
line, across comments. A section may occur more than once in both.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_SECTION = re.compile(r"[ \t]*\[([^\]\r\n]*)\][ \t\r]*$")
_SETTING = re.compile(r"[ \t]*([^=\s][^=\r\n]*?)[ \t]*=[ \t]*(.*)$", re.DOTALL)


@dataclass(frozen=True)
class IniLine:
    """A line unchanged, with its line break; ``key`` is empty if it is not a setting. Contains
    several lines if they are continued."""

    raw: str
    section: str
    key: str = ""
    value: str = ""

    @property
    def is_comment(self) -> bool:
        return self.raw.lstrip().startswith(("#", ";"))

    @property
    def is_head(self) -> bool:
        """Whether a section begins here."""
        return not self.key and _SECTION.match(self.raw.rstrip("\n")) is not None


def parse(text: str, *, systemd: bool = False) -> list[IniLine]:
    """The lines of a text; joined together they are the text again."""
    found: list[IniLine] = []
    section = ""
    lines = iter(_lines(text))
    for raw in lines:
        stripped = raw.strip()
        if not stripped or stripped.startswith(("#", ";") if systemd else "#"):
            found.append(IniLine(raw, section))
            continue
        joined = raw.rstrip("\r\n")
        while systemd and joined.endswith("\\"):
            following = next(lines, None)
            if following is None:
                break
            raw += following
            if not following.lstrip().startswith(("#", ";")):
                joined = joined[:-1] + " " + following.strip()
        found.append(_line(raw, joined, section))
        section = found[-1].section
    return found


def _lines(text: str) -> list[str]:
    """Lines that end only with a line feed."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _line(raw: str, joined: str, section: str) -> IniLine:
    head = _SECTION.match(joined)
    if head:
        return IniLine(raw, head[1].strip())
    setting = _SETTING.match(joined)
    return IniLine(raw, section, setting[1], setting[2].strip()) if setting else IniLine(raw, section)


def render(lines: Iterable[IniLine]) -> str:
    """The text of lines."""
    return "".join(line.raw for line in lines)


def setting(like: IniLine, key: str, value: str) -> IniLine:
    """A line that sets ``key`` in the section of ``like``, with the same spacing and line break."""
    indent, equals = re.match(r"[ \t]*", like.raw), re.search(r"[ \t]*=[ \t]*", like.raw)
    end = "\r\n" if like.raw.endswith("\r\n") else "\n"
    spaced = equals[0] if equals and like.key else "="
    return IniLine(f"{indent[0] if indent and like.key else ''}{key}{spaced}{value}{end}", like.section, key, value)


def without(lines: Iterable[IniLine], condition: Callable[[IniLine], bool]) -> list[IniLine]:
    """The lines without the settings, and without the comments, for which ``condition`` is true."""
    return [line for line in lines if not ((line.key or line.is_comment) and condition(line))]


def values(lines: Iterable[IniLine], section: str, key: str) -> list[str]:
    """The values of a key in a section, in their order."""
    return [line.value for line in lines if line.section == section and line.key == key]
