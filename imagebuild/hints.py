"""What messages show of names that nobody vouches for, and commands that can be pasted into a shell."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

_WIDEST = 200
"""Characters of a foreign name that are shown."""


def command_line(*words: str | Path) -> str:
    """A command for a hint, quoted for a shell.

    No program takes a path in it for an option, nor QEMU for an address such as ``nbd:…``.
    """
    return " ".join(_quoted(_plain(word) if isinstance(word, Path) else word) for word in words)


def shown(name: str | bytes) -> str:
    """A name out of a file that somebody else made: printable, and not endless."""
    text = name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else name
    escaped = "".join(char if char.isprintable() else _escape(char) for char in text[: _WIDEST + 1])
    return escaped if len(escaped) <= _WIDEST else f"{escaped[:_WIDEST]}…"


def _plain(path: Path) -> str:
    return f"./{path}" if str(path).startswith("-") or (":" in str(path) and not path.is_absolute()) else str(path)


def _quoted(word: str) -> str:
    if word.isprintable():
        return shlex.quote(word)
    # ANSI-C quoting, of bash, zsh, ksh and POSIX 2024: what cannot be printed cannot be pasted either
    escaped = re.sub(r"[\\']", r"\\\g<0>", word)
    return "$'" + "".join(char if char.isprintable() else _escape(char) for char in escaped) + "'"


def _escape(char: str) -> str:
    try:
        return "".join(f"\\x{byte:02x}" for byte in char.encode())
    except UnicodeEncodeError:  # a byte of a name that is no UTF-8
        return "".join(f"\\x{byte:02x}" for byte in char.encode(errors="surrogateescape"))
