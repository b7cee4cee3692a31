"""Tables that the agent reads: a line per entry; lines that start with ``#`` are comments."""

from __future__ import annotations

from pathlib import Path


def lines(name: str) -> list[str]:
    """The entries of the table ``name``."""
    text = (Path(__file__).parent / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]
