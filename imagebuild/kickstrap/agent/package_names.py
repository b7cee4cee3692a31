"""The packages of a kickstart by Debian's names.

``data/packages.txt`` maps the names of the RHEL family that Debian does not have itself, and groups.
Everything else is Debian's own. Pure.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from . import data

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+(:[a-z0-9]+)?")
IGNORE_MISSING = 1
"""pykickstart.constants.KS_MISSING_IGNORE"""


class Counterpart(NamedTuple):
    """Debian's packages for a name, if any, and why, if the relation is not one to one."""

    packages: tuple[str, ...]
    why: str = ""


class Chosen(NamedTuple):
    """What is to be installed and left out. With ``optional`` packages that do not exist are left
    out, too.
    """

    packages: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    optional: bool = False


@cache
def table() -> dict[str, Counterpart]:
    """The counterparts of packages by name, and of groups by ``@`` and the id in lower case."""
    rows = (line.split("|") for line in data.lines("packages.txt"))
    return {name.strip(): Counterpart(tuple(packages.split()), why.strip()) for name, packages, why in rows}


@lru_cache(maxsize=4096)
def counterpart(name: str) -> Counterpart | None:
    """Debian's packages for ``name``: itself if it may be a Debian package; None if nothing is known
    about it. Modules of Perl are named by Debian's policy: ``perl-DBI`` is ``libdbi-perl``.
    """
    if name.startswith("@"):
        name = "-".join(name.partition(":")[0].lower().split())
    found = table().get(name)
    if found is None and name.startswith("perl-"):
        name = f"lib{name.removeprefix('perl-').lower()}-perl"
    return Counterpart((name,)) if found is None and _NAME.fullmatch(name) else found


def choose(packages: Any) -> Chosen:
    """What pykickstart's ``packages`` stand for. Names that nothing is known about are left out: the
    check has refused or noted them.
    """
    return Chosen(
        tuple(_resolved([*_groups(packages), *packages.packageList])),
        tuple(_resolved(packages.excludedList)),
        packages.handleMissing == IGNORE_MISSING,
    )


def _resolved(names: list[str]) -> Iterator[str]:
    known = (found for name in names if (found := counterpart(name)))
    yield from dict.fromkeys(package for found in known for package in found.packages)


def _groups(packages: Any) -> list[str]:
    environment = [f"@^{packages.environment}"] if packages.environment else []
    return [*environment, *(f"@{group.name}" for group in packages.groupList)]


def problems(packages: Any, text: str) -> Iterator[tuple[int, str, str | None, Literal["error", "warning"]]]:
    """Line, message, hint and severity of what is not one to one. ``text`` is the kickstart itself:
    pykickstart does not store the line numbers of %packages.
    """
    severity: Literal["error", "warning"] = "warning" if packages.handleMissing == IGNORE_MISSING else "error"
    for name in [*_groups(packages), *packages.packageList]:
        found = counterpart(name)
        if found is None:
            what = "has no such package group" if name.startswith("@") else "has no such package name"
            yield _line(text, name), f"%packages: {name}: Debian {what}", _hint(name), severity
        elif not found.packages:
            why = f"%packages: {name} has no counterpart in Debian: {found.why}"
            yield _line(text, name), why, None, "warning"
    left = [*packages.excludedList, *(f"@{group.name}" for group in packages.excludedGroupList)]
    for name in left:
        if name.startswith("@") or counterpart(name) is None:
            message = f"%packages: -{name} has no effect: it is not a Debian package"
            yield _line(text, f"-{name}"), message, None, "warning"


def _hint(name: str) -> str:
    import difflib  # imported late, since the VM hardly ever needs it

    near = difflib.get_close_matches(name, table(), 1, 0.8)
    return f"did you mean {near[0]}? Or name Debian's packages" if near else "name Debian's packages instead"


@lru_cache(maxsize=1)
def _lines(text: str) -> tuple[str, ...]:
    """The lines without comments."""
    return tuple(line.partition("#")[0].strip() for line in text.splitlines())


def _line(text: str, name: str) -> int:
    """The line of ``name``, which may have options after it if it is a group. Most names have no
    problem, so the lines are looked at only here.
    """
    lines = _lines(text)
    starts = (name, name.replace("@", "@ ", 1))
    found = (i for i, line in enumerate(lines, 1) if line in starts or line.startswith(f"{name} --"))
    return next(found, 1)
