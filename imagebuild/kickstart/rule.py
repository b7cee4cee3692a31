"""The rules for kickstarts, discovered by file name: ``rules/plaintext_password.py`` is
``plaintext-password``.

Each file in that folder has a docstring, which is the rule's documentation (a summary line, then
why, and how to fix it), a ``SEVERITY``, and ``find(kickstart, target)``, which yields the findings.
With ``OPINION = True`` a finding is only a warning in a kickstart that belongs to no recipe: it may
be meant for something else than a golden image.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING

from imagebuild.errors import Severity
from imagebuild.schema.rule_names import of_kickstarts

if TYPE_CHECKING:
    from imagebuild.kickstart.parsed import Kickstart, Said

SYNTAX = "syntax"
"""What pykickstart refuses. It cannot be suppressed."""
UNSUPPORTED = "unsupported"
"""What the installer does not support. It cannot be suppressed either."""
WITHOUT_EFFECT = "without-effect"
"""What the installer reads and does nothing about, a warning. It cannot be suppressed either."""
SILENCE = "silence"
"""A problem of a suppression."""
OWN = {
    SYNTAX: "pykickstart refuses it with the syntax of the guest's version; so would the installer",
    UNSUPPORTED: "the installer does not support it (docs/kickstrap.md)",
    WITHOUT_EFFECT: "a warning: the installer reads it, and it has no effect on this guest (docs/kickstrap.md)",
    SILENCE: (
        "a suppression without a reason, or of an unknown rule, is an error; one that suppresses nothing is a warning"
    ),
}
"""Findings that belong to no rule and cannot be suppressed."""


@dataclass(frozen=True)
class KickstartTarget:
    """What a kickstart is for, as far as known.

    ``nonce`` is printed by the success section of this build; None for a kickstart that no build
    rendered. ``asks``: the installer asks for what the kickstart leaves out. ``proves_packages``:
    the installer verifies packages from ``url`` and ``repo`` itself. The defaults of both are those
    of Anaconda. ``insecure``: the recipe accepts a source that cannot be verified. ``trusted`` are
    the addresses that the build itself verifies.
    """

    nonce: str | None = None
    insecure: bool = False
    trusted: frozenset[str] = frozenset()
    asks: bool = True
    proves_packages: bool = False

    @property
    def of_recipe(self) -> bool:
        """Whether the kickstart is that of a recipe, and not any file."""
        return self.nonce is not None


@dataclass(frozen=True)
class DescribedRule:
    """What is said about a rule; ``summary`` and ``description`` come from its file's docstring."""

    name: str
    summary: str
    description: str
    severity: Severity
    opinion: bool
    """Whether it is only a warning in a kickstart that belongs to no recipe."""


@dataclass(frozen=True)
class Rule(DescribedRule):
    """A rule for kickstarts."""

    find: Callable[[Kickstart, KickstartTarget], Iterable[Said]]

    def severity_for(self, target: KickstartTarget) -> Severity:
        """The severity of a finding in a kickstart for ``target``."""
        return self.severity if target.of_recipe or not self.opinion else "warning"


def get(name: str) -> Rule:
    """The rule called ``name``; KeyError if there is none."""
    return _all()[name]


def every() -> Iterator[Rule]:
    """All rules for kickstarts, by name."""
    return iter(_all().values())


def described() -> list[DescribedRule]:
    """All rules, for kickstarts and for recipes, by name."""
    from imagebuild.recipe import login, shared_identity  # imported late: few runs need recipes

    of_recipes = [
        DescribedRule(one.NAME, *_documented(one), one.SEVERITY, opinion=False) for one in (login, shared_identity)
    ]
    return sorted((*every(), *of_recipes), key=lambda one: one.name)


@cache
def _all() -> dict[str, Rule]:
    return {name: _rule(name) for name in of_kickstarts()}


def _rule(name: str) -> Rule:
    module = importlib.import_module(f"imagebuild.kickstart.rules.{name.replace('-', '_')}")
    summary, description = _documented(module)
    if not summary or not description or module.SEVERITY not in ("error", "warning"):
        raise TypeError(f"the rule {name} needs a docstring with a reason, and a SEVERITY")
    opinion = bool(getattr(module, "OPINION", False))
    return Rule(name, summary, description, module.SEVERITY, opinion, module.find)


def _documented(module: ModuleType) -> tuple[str, str]:
    """The summary and the description of a rule, from its docstring."""
    summary, _, description = inspect.cleandoc(module.__doc__ or "").partition("\n\n")
    return summary.rstrip("."), description.strip()
