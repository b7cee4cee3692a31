"""Sizes for people."""

from __future__ import annotations

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def human(size: int) -> str:
    """Bytes with a binary unit, three digits at most: ``4.0 GiB``, ``382 MiB``."""
    value, at = float(size), 0
    while abs(value) >= 1023.5 and at < len(_UNITS) - 1:
        value, at = value / 1024, at + 1
    return f"{size} B" if at == 0 else f"{value:.1f} {_UNITS[at]}" if abs(value) < 9.95 else f"{value:.0f} {_UNITS[at]}"


def signed(difference: int) -> str:
    """A difference of sizes with its sign: ``+12 MiB``; ``0`` for none."""
    return "0" if difference == 0 else f"{'+' if difference > 0 else '−'}{human(abs(difference))}"
