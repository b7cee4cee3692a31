r"""Text of others, made safe to print: names in a guest, what a server or a program says, keys of a recipe.

A character that a terminal would act on, or that nobody would see, is replaced by an escape as in Python (``\n``, ``\x1b``,
``\u202e``); a byte that is no UTF-8 by ``\xff``. The escapes are to be read, not to be parsed: a backslash stays as it is, so
that a text that was made safe before is not changed again. Exact names are in the output of ``--json``.

Replaced are the characters that :meth:`str.isprintable` refuses (Unicode's categories Other and Separator but for the space,
with them C0, C1, DEL, bidirectional controls, surrogates, line and paragraph separators), and those of the property
Default_Ignorable_Code_Point (Unicode's DerivedCoreProperties.txt) that are in other categories: they show nothing.
"""

from __future__ import annotations

import re
import shlex

_IGNORABLE = (
    "\\u034f\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180d\\u180f\\u3164\\ufe00-\\ufe0f\\uffa0\\U000e0100-\\U000e01ef"
)
_INVISIBLE = re.compile(f"[{_IGNORABLE}]")
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_SEQUENCE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # control sequences: colours, cursor (ECMA-48, 5.4)
    r"|\x1b[PX^_\]][^\x07\x1b\n]*(?:\x07|\x1b\\)"  # control strings: titles, links (ECMA-48, 5.6)
    r"|\x1b[ -/]+[0-~]|\x1b[0-Z\\`-~]"
    r"|\r+(?=\n)"
)


def one_line(text: object) -> str:
    """``text`` for a place where one line belongs; a line break or a tab in it is escaped too."""
    found = str(text)
    if found.isprintable() and not _INVISIBLE.search(found):
        return found
    return "".join(map(_character, found))


def several_lines(text: str) -> str:
    """``text`` whose line breaks and tabs are its own structure, as in a difference or a log."""
    return "\n".join("\t".join(map(one_line, line.split("\t"))) for line in text.split("\n"))


def transcript(text: str) -> str:
    """What was meant for a terminal, as a text: without colours and cursor movements."""
    return several_lines(_SEQUENCE.sub("", text))


def shell_word(text: str) -> str:
    """``text`` as one word for a shell, printable: quoted, and in ``$'…'`` (POSIX.1-2024, 2.2.4) where escapes are needed."""
    quoted = shlex.quote(text)
    return quoted if one_line(quoted) == quoted else f"$'{''.join(map(_in_dollar_quotes, text))}'"


def _character(character: str) -> str:
    if character.isprintable() and not _INVISIBLE.match(character):
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8 (PEP 383)
        return f"\\x{code - 0xDC00:02x}"
    short = f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    return _NAMED.get(character, short)


def _in_dollar_quotes(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if _character(character) == character:
        return character
    return _NAMED.get(character) or "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", "surrogateescape"))
