"""Packages are installed.

Asks dpkg or rpm. A package that another one provides is installed too, as Fedora's wget2-wget is
``wget``; on the RHEL family vim-enhanced is ``vim``. A package that dpkg has unpacked and not
configured is not installed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import Field

from imagebuild.verify import check, printed
from imagebuild.verify.check import NothingToCheck, Printed

PROBES = {
    "packages": (
        "if dpkg-query -W dpkg >/dev/null 2>&1; then echo '(dpkg)'; dpkg-query -W -f '${Package} ${Status}\\n'; "
        "elif rpm -q rpm >/dev/null 2>&1; then echo '(rpm)'; "
        # The kernel provides thousands of symbols in parentheses.
        "rpm -qa --qf '[%{PROVIDENAME}\\n]' | grep -v '[(/]' | sort -u; "
        "else echo '(none)'; fi"
    )
}
_OTHER_NAMES = {"vim": ("vim-enhanced",)}
_INSTALLED = ("install ok installed", "hold ok installed")


class Params(check.Params):
    installed: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9+._-]*$")], ...] = Field(
        default=("net-tools", "lrzsz", "screen", "tree", "vim", "wget"), description="names of packages"
    )


def judge(seen: Mapping[str, Printed], params: Params) -> Iterator[str]:
    manager, *lines = printed.lines(seen, "packages", "the list of packages")
    if manager == "(none)":
        raise NothingToCheck("the guest has neither dpkg nor rpm")
    if manager not in ("(dpkg)", "(rpm)") or not lines:
        raise printed.unreadable("the list of packages")
    states: dict[str, str] = {}
    for line in lines:
        name, _, state = line.strip().partition(" ")
        # Of several architectures, one is enough.
        if states.get(name) not in _INSTALLED:
            states[name] = state if manager == "(dpkg)" else _INSTALLED[0]
    # The package manager is itself a package.
    if manager.strip("()") not in states:
        raise printed.unreadable("the list of packages")
    for name in params.installed:
        known = [states[one] for one in (name, *_OTHER_NAMES.get(name, ())) if one in states]
        if not any(state in _INSTALLED for state in known):
            yield f"the package {name} is not installed" + (f": dpkg says {known[0]!r}" if known else "")
