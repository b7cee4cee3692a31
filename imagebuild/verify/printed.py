"""What probes printed, read without trust: a guest may print anything or nothing. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagebuild.verify.check import NotCheckable, Printed

if TYPE_CHECKING:
    from collections.abc import Mapping

_NOTHING = Printed("", 1)


def output(seen: Mapping[str, Printed], probe: str) -> Printed:
    """What a probe printed; a probe that did not end counts as failed."""
    return seen.get(probe, _NOTHING)


def text(seen: Mapping[str, Printed], probe: str, what: str) -> str:
    """What a probe printed; NotCheckable if it failed or printed nothing.

    ``what`` it reads is the subject of that sentence, such as "the list of units".
    """
    found = output(seen, probe)
    if found.status != 0 or not found.text.strip():
        raise unreadable(what)
    return found.text


def lines(seen: Mapping[str, Printed], probe: str, what: str) -> list[str]:
    """The lines of ``text`` that are not blank."""
    return [line for line in text(seen, probe, what).splitlines() if line.strip()]


def unreadable(what: str) -> NotCheckable:
    """The exception for output that cannot be understood."""
    return NotCheckable(f"{what} could not be read")


def number(word: str) -> int | None:
    """A whole number without a sign; None for everything else."""
    return int(word) if word.isascii() and word.isdigit() and len(word) <= 20 else None


def numbers(ranges: str) -> list[int]:
    """The numbers in a list of ranges such as ``0-2,5``, as the kernel writes CPUs; empty if it is
    none."""
    found: list[int] = []
    for part in ranges.strip().split(","):
        first, _, last = part.partition("-")
        low, high = number(first), number(last or first)
        if low is None or high is None or high - low > 10_000:
            return []
        found += range(low, high + 1)
    return found
