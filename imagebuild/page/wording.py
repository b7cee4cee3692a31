"""How the pages write numbers, times and results. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote

from imagebuild.contents.sizes import human
from imagebuild.page import loose_json
from imagebuild.printable import counted

NOTHING = "–"
_CHANGES = {
    "+": ("more", "added"),
    "-": ("less", "removed"),
    "↑": ("more", "upgraded"),
    "↓": ("less", "downgraded"),
    "~": ("other", "changed"),
}
_CHECKS = {
    "passed": ("good", "passed"),
    "failed": ("bad", "failed"),
    "not applicable": ("plain", "not applicable"),
    "not checkable": ("open", "not checkable"),
}


def size(value: int | None) -> str:
    """``175 MiB``."""
    return NOTHING if value is None else human(value)


def number(value: int | None) -> str:
    """``1,204``."""
    return NOTHING if value is None else f"{value:,}"


def duration(value: float | None) -> str:
    """``4.2 s``, ``38 s``, ``12 min 5 s``, ``2 h 10 min``."""
    if value is None:
        return NOTHING
    if value < 9.95:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def day(time: str) -> str:
    """The day of a time in ISO 8601."""
    found = loose_json.time(time)
    return f"{found:%Y-%m-%d}" if found is not None else NOTHING


def minute(time: str) -> str:
    """The day and the minute of a time in ISO 8601, in UTC."""
    found = loose_json.time(time)
    return f"{found:%Y-%m-%d %H:%M}" if found is not None else NOTHING


def age(time: str, now: datetime) -> str:
    """``25 min``, ``3 h``, ``12 days`` from a time to ``now``; a time that is yet to come is new."""
    found = loose_json.time(time)
    if found is None:
        return NOTHING
    minutes = max(0, int((now.astimezone(UTC) - found).total_seconds() // 60))
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else counted(minutes // (24 * 60), "day")


def url(path: str) -> str:
    """A relative path as part of a URL."""
    return quote(path, safe="/")


def change_kind(sign: str) -> str:
    """The class of a row of changes."""
    return _CHANGES.get(sign, ("other", ""))[0]


def change_word(sign: str) -> str:
    """What the sign of a row of changes means."""
    return _CHANGES.get(sign, ("other", "unknown"))[1]


def check_badge(status: str) -> tuple[str, str]:
    """The class and words for the result of a check."""
    return _CHECKS.get(status, ("open", status or "unknown"))


def build_kind(outcome: str) -> str:
    """The class for the outcome of a build."""
    return {"built": "good", "unchanged": "plain", "running": "open"}.get(outcome, "bad")
