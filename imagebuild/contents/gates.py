"""Gates: differences that a merge request must not have."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from imagebuild.contents.compare import ImageDiff
from imagebuild.contents.sizes import human

SIZE_GROWTH = "size-growth"
_PERCENT = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)%")


@dataclass(frozen=True)
class Gate:
    """A gate as it was written, and its limit in percent if it has one."""

    text: str
    name: str
    limit: float = 0.0


@dataclass(frozen=True)
class FiredGate:
    """A gate that a difference does not pass, and why: one line."""

    gate: str
    message: str


def names() -> tuple[str, ...]:
    """All gates, as they are written."""
    return (f"{SIZE_GROWTH}=PERCENT%", *_CHECKS)


def parse(text: str) -> Gate:
    """The gate that ``text`` names. ValueError, with a message that lists the gates, if there is
    none."""
    name, equals, value = text.partition("=")
    if name in _CHECKS and not equals:
        return Gate(text, name)
    if name == SIZE_GROWTH:
        if limit := _PERCENT.fullmatch(value):
            return Gate(text, name, float(limit[1]))
        raise ValueError(f"{text!r} has no percentage: write, for example, {SIZE_GROWTH}=10%")
    raise ValueError(f"there is no gate {text!r}; the gates are {', '.join(names())}")


def fired(gates: Iterable[Gate], diff: ImageDiff) -> list[FiredGate]:
    """What the gates say about a difference, in their order."""
    return [
        FiredGate(gate.text, message)
        for gate in dict.fromkeys(gates)
        for message in (_grown(gate, diff) if gate.name == SIZE_GROWTH else _CHECKS[gate.name](diff))
    ]


def _grown(gate: Gate, diff: ImageDiff) -> Iterator[str]:
    grown = [one for one in diff.sizes if one.name != "virtual" and one.growth > gate.limit]
    for one in grown:
        what = "the image file" if one.name == "file" else "the space used in its file systems"
        by = "" if math.isinf(one.growth) else f" by {one.growth:.1f}%"
        yield f"{what} grows{by}, from {human(one.old)} to {human(one.new)}"


def _package_removed(diff: ImageDiff) -> Iterator[str]:
    if not diff.packages.known:
        yield "the packages of at least one of the images are not known"
    if diff.packages.removed:
        yield _counted(len(diff.packages.removed), "package is removed", "packages are removed", diff.packages.removed)


def _new_setuid_file(diff: ImageDiff) -> Iterator[str]:
    if diff.gained:
        named = (f"{one.path} ({', '.join(one.privileges)})" for one in diff.gained)
        yield _counted(len(diff.gained), "file gains privileges", "files gain privileges", named)


def _new_listening_unit(diff: ImageDiff) -> Iterator[str]:
    new = [*diff.listening.added, *(b for a, b in diff.listening.changed if set(b.listens) - set(a.listens))]
    if new:
        named = (f"{one.name} ({', '.join(one.listens) or 'address not known'})" for one in new)
        yield _counted(
            len(new), "socket unit is new or has a new address", "socket units are new or have new addresses", named
        )


def _new_user(diff: ImageDiff) -> Iterator[str]:
    if diff.accounts.added:
        named = (f"{one.name} (uid {one.uid})" for one in diff.accounts.added)
        yield _counted(len(diff.accounts.added), "account is new", "accounts are new", named)


def _counted(number: int, one: str, several: str, named: Iterable[str]) -> str:
    return f"{number} {one if number == 1 else several}: {', '.join(named)}"


_CHECKS: dict[str, Callable[[ImageDiff], Iterator[str]]] = {
    "package-removed": _package_removed,
    "new-setuid-file": _new_setuid_file,
    "new-listening-unit": _new_listening_unit,
    "new-user": _new_user,
}
