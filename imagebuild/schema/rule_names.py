"""Names of the rules that a kickstart is held against. Recipes silence some by name, and know nothing of kickstarts."""

from __future__ import annotations

import pkgutil
from functools import cache
from pathlib import Path

_RULES = Path(__file__).parents[1] / "kickstart" / "rules"


@cache
def names() -> tuple[str, ...]:
    """The names of all rules, sorted: ``rules/plaintext_password.py`` is ``plaintext-password``. Imports none of them."""
    return tuple(sorted(found.name.replace("_", "-") for found in pkgutil.iter_modules([str(_RULES)])))
