r"""Makes untrusted text safe to print: names in a guest, the output of a server or a program, keys
of a recipe.

A character that a terminal would act on, or that is invisible, is replaced by an escape as in
Python (``\n``, ``\x1b``, ``\u202e``), and a byte that is not UTF-8 by one like ``\xff``. The
escapes are for people, not for parsers: a backslash is kept, so that text that is already safe is
not changed again. Exact names are in the output of ``--json``.

The replaced characters are those that :meth:`str.isprintable` rejects (Unicode's categories Other
and Separator except the space, which include C0, C1, DEL, bidirectional controls, surrogates, line
and paragraph separators), and those with the property Default_Ignorable_Code_Point (Unicode's
DerivedCoreProperties.txt) in other categories, because they are invisible.
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


def counted(number: int, what: str, several: str = "") -> str:
    """``1 file``, ``2 files``; ``several`` is the plural of ``what`` if that takes more than an s."""
    return f"{number} {what if number == 1 else several or f'{what}s'}"


def one_line(text: object) -> str:
    """``text`` as a single line; line breaks and tabs are escaped too."""
    found = str(text)
    if found.isprintable() and not _INVISIBLE.search(found):
        return found
    return "".join(map(_character, found))


def several_lines(text: str) -> str:
    """``text`` with its line breaks and tabs kept, as in a diff or a log."""
    return "\n".join("\t".join(map(one_line, line.split("\t"))) for line in text.split("\n"))


def transcript(text: str) -> str:
    """Terminal output as plain text, without colours and cursor movements."""
    return several_lines(_SEQUENCE.sub("", text))


def shell_word(text: str) -> str:
    """``text`` as one printable shell word: quoted, as ``$'…'`` (POSIX.1-2024, 2.2.4) if escapes
    are needed.
    """
    quoted = shlex.quote(text)
    return quoted if one_line(quoted) == quoted else f"$'{''.join(map(_in_dollar_quotes, text))}'"


def _character(character: str) -> str:
    if character.isprintable() and not _INVISIBLE.match(character):
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8 (PEP 383)
        return f"\\x{code - 0xDC00:02x}"
    short = f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    return _NAMED.get(character, short)


def _in_dollar_quotes(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if _character(character) == character:
        return character
    return _NAMED.get(character) or "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", "surrogateescape"))
