"""netplan's YAML (netplan(5)) without hardware addresses, edited line by line so that comments and order stay."""

from __future__ import annotations

import re

_ADDRESS_LINE = re.compile(r"^\s*macaddress:")
_KEY = re.compile(r"^(?P<indent>\s*)(?P<name>[^\s#:][^:]*):(?P<value>.*)$")


def without_addresses(text: str) -> str:
    """``text`` without ``macaddress``; an interface that was matched by nothing else is matched by its name.

    An interface whose name was set (``set-name``) gets that name as its key, since ``set-name`` needs a match.
    """
    lines = text.split("\n")
    if not any(_ADDRESS_LINE.match(line) for line in lines):
        return text
    lines = [line for line in lines if not _ADDRESS_LINE.match(line)]
    lines = [line for at, line in enumerate(lines) if not _is_empty_match(lines, at)]
    for at in reversed(range(len(lines))):
        found = _KEY.match(lines[at])
        if found and found["name"] == "set-name" and not _has_match(lines, at):
            _name_by_key(lines, at, found["value"].strip().strip("\"'"))
    return "\n".join(lines)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _is_empty_match(lines: list[str], at: int) -> bool:
    found = _KEY.match(lines[at])
    if not found or found["name"] != "match" or found["value"].strip():
        return False
    after = next((line for line in lines[at + 1 :] if line.strip()), "")
    return _indent(after) <= _indent(lines[at])


def _has_match(lines: list[str], at: int) -> bool:
    """Whether the mapping that line ``at`` is in has a ``match`` too."""
    start, end = at, at
    while start > 0 and (not lines[start - 1].strip() or _indent(lines[start - 1]) >= _indent(lines[at])):
        start -= 1
    while end + 1 < len(lines) and (not lines[end + 1].strip() or _indent(lines[end + 1]) >= _indent(lines[at])):
        end += 1
    inner = (line for line in lines[start : end + 1] if _indent(line) == _indent(lines[at]))
    return any(line.strip().startswith("match:") for line in inner)


def _name_by_key(lines: list[str], at: int, name: str) -> None:
    parent = next(
        (above for above in reversed(range(at)) if lines[above].strip() and _indent(lines[above]) < _indent(lines[at])),
        None,
    )
    if parent is not None:
        lines[parent] = f"{' ' * _indent(lines[parent])}{name}:"
        del lines[at]
