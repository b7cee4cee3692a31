"""Editing configuration files by lines and keys: anything missing is added, never silently ignored."""

from __future__ import annotations

import re


def with_line_at_end(text: str, line: str) -> str:
    """``text`` with one more line."""
    return text + ("" if text.endswith("\n") or not text else "\n") + line + "\n"


def with_key(text: str, key: str, value: str, *, section: str = "", separator: str = "=") -> str:
    """``text`` with ``key`` set to ``value`` in ``section``, which is added if necessary.

    The first line that sets the key is changed, and further ones in the section are removed;
    commented-out lines stay.
    """
    setting = re.compile(
        rf"^[ \t]*{re.escape(key)}[ \t]*{_between(separator)}", re.IGNORECASE if separator == " " else 0
    )
    line = f"{key}{separator}{value}"
    lines = text.split("\n")
    start, end = _section(lines, section)
    if start is None:
        return with_line_at_end(with_line_at_end(text, f"[{section}]"), line)
    inner = lines[start:end]
    found = [at for at, one in enumerate(inner) if setting.match(one)]
    if found:
        inner[found[0]] = line
        inner = [one for at, one in enumerate(inner) if at not in found[1:]]
    else:
        last = max((at + 1 for at, one in enumerate(inner) if one.strip()), default=0)
        inner.insert(last, line)
    after = lines[end:]
    return "\n".join([*lines[:start], *inner, *after, *([""] if not after and inner[-1] else [])])


def _between(separator: str) -> str:
    return r"(?=[ \t]|$)" if separator == " " else rf"[ \t]*{re.escape(separator.strip())}"


def _section(lines: list[str], name: str) -> tuple[int | None, int]:
    """The range of the lines of a section; without a name, of those before the first section."""
    heads = [at for at, line in enumerate(lines) if re.match(r"[ \t]*\[[^\]]+\][ \t]*$", line)]
    if not name:
        return 0, heads[0] if heads else len(lines)
    for at in heads:
        if lines[at].strip()[1:-1].strip() == name:
            return at + 1, next((head for head in heads if head > at), len(lines))
    return None, 0
