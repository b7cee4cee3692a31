"""What a secret looks like in a file: a line that matches, in a file with a certain name, and any
other condition."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

Holds = Callable[[str, bytes, re.Match[bytes]], bool]
"""A condition on a path, the content of the file and the match in it."""
B = "[ \t]"
r"""A blank. Patterns use only what grep and Python interpret in the same way: no classes such as
``\s``, no look-around."""
_MOST = 1 << 20
"""The number of bytes of a file that patterns are compared with."""
_LONGEST = 2048
"""The number of bytes of a line that patterns are compared with: the time that some patterns need
grows with its square."""
_COMMENT = re.compile(rb"[ \t]*(#|;|// |<!--|dnl )")
_PLACEHOLDER = re.compile(
    r"|[*.?-]+|x{3,}|<.*|\[.*\]|\{.*|\$.*|%.*|@.*@|(your|my|some|the|example|replace|change|insert|enter)[-_ ].*|"
    r"(none|null|nil|true|false|yes|no|on|off|ask|undef|testing123)[,;]*",
    re.IGNORECASE,
)
"""Values in examples, and settings that are not secrets: nothing that needs to stay unknown."""


def anything(path: str, content: bytes, match: re.Match[bytes]) -> bool:
    """Every match counts."""
    return True


@dataclass(frozen=True)
class SecretRule:
    """``pattern`` is compared with each line, ignoring case. If it has groups, the last one is the
    secret; a placeholder does not count.

    ``name`` must match the last part of the file's path as a whole, and ``only`` is searched for in
    the path. A pattern that matches many texts needs a ``name``, so that it is not searched for in
    all files. Comment lines do not count unless ``comments`` is set.
    """

    what: str
    pattern: str | bytes
    only: str = ""
    name: str = ""
    holds: Holds = anything
    comments: bool = False

    @property
    def text(self) -> bytes:
        """The pattern for grep, which does not know escapes for characters."""
        return self.pattern if isinstance(self.pattern, bytes) else self.pattern.replace(r"\t", "\t").encode()

    @cached_property
    def _compiled(self) -> re.Pattern[bytes]:
        # In Python, a negated set includes the end of a line.
        return re.compile(self.text.replace(b"[^", b"[^\n"), re.IGNORECASE | re.MULTILINE)

    def line_in(self, path: str, content: bytes) -> int | None:
        """The number of the first line that contains a secret; None if there is none."""
        if not re.search(self.only, path) or (self.name and not fits(self.name, path)):
            return None
        for match in self._compiled.finditer(content):
            start = content.rfind(b"\n", 0, match.start()) + 1
            if not self.comments and _COMMENT.match(content, start):
                continue
            if match.lastindex and is_placeholder(match[match.lastindex]):
                continue
            if self.holds(path, content, match):
                return content.count(b"\n", 0, start) + 1
        return None


@dataclass(frozen=True)
class Named:
    """A file that is a secret because of its name: a pattern for the whole last part of its path,
    and one to search for in its folder. An empty file is not a secret."""

    what: str
    name: str
    folder: str = ""

    def is_at(self, path: str) -> bool:
        """Whether a file with this path is of this kind."""
        return fits(self.name, path) and re.search(self.folder, f"{posixpath.dirname(path)}/") is not None


def fits(name: str, path: str) -> bool:
    """Whether the last part of a path matches a pattern as a whole."""
    return re.fullmatch(name, posixpath.basename(path), re.IGNORECASE) is not None


def is_placeholder(value: bytes | None) -> bool:
    """Whether a value is a placeholder for a secret, or means yes or no."""
    text = (value or b"").decode("utf-8", "replace").strip().strip("\"'").strip()
    return _PLACEHOLDER.fullmatch(text) is not None


def literal(content: bytes) -> bytes:
    """A pattern that matches these bytes literally, in grep and in Python."""
    return re.sub(rb"[.\[\]\\*^$+?(){}|]", rb"\\\g<0>", content)


def found_in(rules: Sequence[SecretRule], path: str, content: bytes) -> Iterator[str]:
    """The secrets in a file, with the number of the line if it is a text; each kind once."""
    lines = content[:_MOST].split(b"\n")
    long = max(map(len, lines)) > _LONGEST
    text = b"\n".join(part for line in lines for part in _parts(line)) if long else content[:_MOST]
    numbered = not long and b"\0" not in content
    seen = set()
    for rule in rules:
        line = rule.line_in(path, text) if rule.what not in seen else None
        if line is not None:
            seen.add(rule.what)
            yield f"{rule.what} in line {line}" if numbered else rule.what


def _parts(line: bytes) -> list[bytes]:
    return [line[at : at + _LONGEST] for at in range(0, len(line) or 1, _LONGEST)]
