"""How much of what a guest says about its packages is kept: a guest may say anything."""

from __future__ import annotations

MOST_PACKAGES = 50_000
"""More than any guest has."""
MOST_LICENCES = 100
"""Of one package."""
_LONGEST = 400


def clipped(text: str) -> str:
    """A text of at most 400 characters, without what it has more."""
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def number(text: str) -> int:
    """A number of up to 15 digits; 0 for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else 0
