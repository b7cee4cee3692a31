"""The kickstart syntax that a recipe's installer reads."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from imagebuild.recipe.model.guest import Os

KICKSTRAP = "F43"
"""The syntax that kickstrap reads unless another one is named, because RHEL's has no btrfs."""


class Syntax(NamedTuple):
    """pykickstart's name of a syntax, and a note if it is not the guest's own."""

    name: str
    note: str | None = None


def default(os: Os, known: Collection[str]) -> Syntax:
    """The syntax for a guest; ``known`` are pykickstart's names.

    For a release that is not known yet: the newest.
    """
    if os.family == "debian":
        return Syntax(KICKSTRAP)
    series = "F" if os.distribution == "fedora" else "RHEL"
    major = os.version.partition(".")[0]
    wanted = f"{series}{major}"
    if wanted in known:
        return Syntax(wanted)
    numbers = [int(name.removeprefix(series)) for name in known if name.removeprefix(series).isdecimal()]
    newest = f"{series}{max(numbers)}"
    return Syntax(newest, f"pykickstart has no syntax {wanted}: the kickstart is read as {newest}")
