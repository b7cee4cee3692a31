"""Names of the rules for kickstarts.

Recipes suppress rules by name; this module lets them check the names without importing kickstart
code.
"""

from __future__ import annotations

import pkgutil
from functools import cache
from pathlib import Path

_RULES = Path(__file__).parents[1] / "kickstart" / "rules"


@cache
def names() -> tuple[str, ...]:
    """The sorted names of all rules: ``rules/plaintext_password.py`` is ``plaintext-password``.

    Imports no rule.
    """
    return tuple(sorted(found.name.replace("_", "-") for found in pkgutil.iter_modules([str(_RULES)])))
