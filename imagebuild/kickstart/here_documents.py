"""Here-documents in shell scripts: where they start and end."""

from __future__ import annotations

import re
from collections.abc import Iterable

_HERE = re.compile(r"(?<!<)<<(?!<)(-?)\s*(?:'([^']+)'|\"([^\"]+)\"|\\?([A-Za-z_]\w*))")
"""The start of a here-document, as a shell parses it."""


def after(line: str, here: list[str]) -> list[str]:
    """The here-documents that are open after ``line``, in the order in which they end."""
    if here:
        # Only <<-EOF allows tabs before the end; allowing them for all here-documents does no harm.
        return here[1:] if line.lstrip("\t") == here[0] or line.startswith("%end") else here
    if line.lstrip().startswith("#"):
        return []
    return [match[2] or match[3] or match[4] for match in _HERE.finditer(line)]


def still_open(lines: Iterable[str]) -> list[str]:
    """The words that end the here-documents that are open after the lines of a script."""
    here: list[str] = []
    for line in lines:
        here = after(line.rstrip("\r\n"), here)
    return here
