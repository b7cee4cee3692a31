"""Divides a kickstart into lines and sections, as pykickstart divides it, and refuses what would take
it too long.
"""

from __future__ import annotations

from collections.abc import Iterator

from imagebuild.kickstart import quick_split
from imagebuild.kickstart.parsed import KickstartSection, Said

MAX_BYTES = 512 * 1024
MAX_LINES = 20_000
MAX_COMMANDS = 1_000
"""Commands: pykickstart compares each one of some kinds with all earlier ones."""
MAX_LINE = 8 * 1024
"""Characters of a line outside scripts: shlex's time is quadratic in the length."""
MAX_GLOBS = 100
"""Excluded packages with a wildcard: pykickstart compares each with all packages."""

SCRIPTS = ("%pre", "%pre-install", "%post", "%onerror", "%traceback")
SECTIONS = ("%addon", "%anaconda", "%certificate", "%packages", *SCRIPTS)


def first_word(line: str) -> str:
    """The first word of a line; "" if there is none."""
    return (line.split(maxsplit=1) or [""])[0]


def size_problem(text: str) -> Said | None:
    """What is too large in a text to be parsed."""
    if len(text) > MAX_BYTES:
        return Said(None, f"the text is larger than {MAX_BYTES // 1024} KiB: this is not a kickstart")
    lines = text.splitlines()
    if len(lines) > MAX_LINES:
        return Said(None, f"the text has more than {MAX_LINES} lines: this is not a kickstart")
    if "\0" in text:
        before = text[: text.index("\0")]
        return Said(len((before + ".").splitlines()), "the line contains a NUL byte: this is not text")
    commands = command_lines(text)
    if len(commands) > MAX_COMMANDS:
        return Said(commands[MAX_COMMANDS], f"the text has more than {MAX_COMMANDS} commands: this is not a kickstart")
    if text.count("*") > MAX_GLOBS:
        globs = [number for number, line in enumerate(lines, 1) if line.lstrip().startswith("-") and "*" in line]
        if len(globs) > MAX_GLOBS:
            message = f"more than {MAX_GLOBS} wildcards are excluded: this is not a kickstart"
            return Said(globs[MAX_GLOBS], message)
    return None


def command_lines(text: str) -> list[int]:
    """The lines outside sections that are not comments."""
    found, inside = [], False
    for number, line in enumerate(text.splitlines(), 1):
        word = first_word(line[:MAX_LINE])
        if inside or word in SECTIONS:
            inside = word != "%end"
        elif word and not word.startswith("#"):
            found.append(number)
    return found


def blank_long_lines(lines: list[str]) -> Iterator[Said]:
    """Blank lines that would take too long, except in scripts, which are not split into words."""
    if max(map(len, lines), default=0) <= MAX_LINE:
        return
    in_script = False
    for index, line in enumerate(lines):
        word = first_word(line[:MAX_LINE])
        in_script = word in SCRIPTS or (in_script and word != "%end" and word not in SECTIONS)
        if len(line) > MAX_LINE and (not in_script or word.startswith("%")):
            lines[index] = "\n"
            yield Said(index + 1, f"the line has more than {MAX_LINE} characters")


def take_out(lines: list[str], number: int) -> bool:
    """Blank a line, or the whole section if it is a section's first line; False if it is already
    blank.
    """
    first = number - 1
    if not 0 <= first < len(lines) or not lines[first].strip():
        return False
    word = first_word(lines[first])
    section = word.startswith("%") and word != "%end"
    lines[first] = "\n"
    for index in range(first + 1, len(lines) if section else 0):
        word = first_word(lines[index])
        if word in SECTIONS:
            break
        lines[index] = "\n"
        if word == "%end":
            break
    return True


def sections(text: str) -> Iterator[KickstartSection]:
    """The sections of a text, as pykickstart divides it; a section without an end extends to the
    next one.
    """
    header: tuple[int, tuple[str, ...]] | None = None
    body: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        # pykickstart looks at what a line begins with, after white space.
        word = first_word(line[:MAX_LINE]) if "%" in line else ""
        if word in SECTIONS or (word == "%end" and header):
            if header:
                yield KickstartSection(*header, tuple(body))
            header, body = (None if word == "%end" else (number, _words(line))), []
        elif header:
            body.append((number, line))
    if header:
        yield KickstartSection(*header, tuple(body))


def _words(line: str) -> tuple[str, ...]:
    try:
        return tuple(quick_split.split(line[:MAX_LINE], comments=True)) or (first_word(line),)
    except ValueError:
        return tuple(line[:MAX_LINE].split())
