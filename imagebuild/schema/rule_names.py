"""Names of the rules for kickstarts, and of those for recipes.

Recipes suppress rules by name; this module lets them check the names without importing kickstart
code.
"""

from __future__ import annotations

import pkgutil
from functools import cache
from pathlib import Path

SHARED_IDENTITY = "shared-identity"
NOBODY_CAN_LOG_IN = "nobody-can-log-in"
OF_RECIPES = (SHARED_IDENTITY, NOBODY_CAN_LOG_IN)
"""The rules that look at the recipe itself. Its own `lint.ignore` is the place to suppress them."""
_RULES = Path(__file__).parents[1] / "kickstart" / "rules"


@cache
def names() -> tuple[str, ...]:
    """The sorted names of all rules."""
    return tuple(sorted((*of_kickstarts(), *OF_RECIPES)))


@cache
def of_kickstarts() -> tuple[str, ...]:
    """The sorted names of all rules for kickstarts: ``rules/plaintext_password.py`` is ``plaintext-password``.

    Imports no rule.
    """
    return tuple(sorted(found.name.replace("_", "-") for found in pkgutil.iter_modules([str(_RULES)])))
