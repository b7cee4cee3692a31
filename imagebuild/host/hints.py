"""Untrusted names as messages show them, and commands that can be pasted into a shell."""

from __future__ import annotations

from pathlib import Path

from imagebuild.printable import one_line, shell_word

_WIDEST = 200
"""The most characters of an untrusted name that are shown."""


def command_line(*words: str | Path) -> str:
    """A command for a hint, quoted for a shell.

    No program mistakes a path in it for an option, nor QEMU for an address such as ``nbd:…``.
    """
    return " ".join(shell_word(_plain(word) if isinstance(word, Path) else word) for word in words)


def shown(name: str | bytes) -> str:
    """A name from an untrusted file: printable, and of limited length."""
    text = name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name
    escaped = one_line(text[: _WIDEST + 1])
    return escaped if len(escaped) <= _WIDEST else f"{escaped[:_WIDEST]}…"


def _plain(path: Path) -> str:
    return f"./{path}" if str(path).startswith("-") or (":" in str(path) and not path.is_absolute()) else str(path)
