"""The rules that a kickstart is held against, found by their files: ``rules/plaintext_password.py`` is ``plaintext-password``.

A file of that folder has a docstring, which is its documentation (a summary line, then why, and how to mend it), a
``SEVERITY``, and ``find(kickstart, target)``, which yields what it finds.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from imagebuild.errors import Severity
from imagebuild.schema.rule_names import names

if TYPE_CHECKING:
    from imagebuild.kickstart.parse import Kickstart, Said

SYNTAX = "syntax"
"""What pykickstart refuses. Nobody can silence it."""
UNSUPPORTED = "unsupported"
"""What the installer does not carry out. Nobody can silence it either."""
SILENCE = "silence"
"""What is wrong with a silence."""
OWN = {
    SYNTAX: "pykickstart refuses it, by the syntax of the version that is meant; so would the installer",
    UNSUPPORTED: "the installer does not carry it out (docs/kickstrap.md)",
    SILENCE: "a silence without a reason or for a rule that is not there is an error, one that silences nothing a warning",
}
"""Names of findings that no rule makes and nothing silences."""


@dataclass(frozen=True)
class KickstartTarget:
    """What a kickstart is for, as far as that is known.

    ``nonce`` is what the success section proves this build with, None for a kickstart that no build rendered.
    ``asks``: the installer asks for what the kickstart leaves out. ``proves_packages``: it proves what it takes from ``url`` and ``repo``
    by itself; both as Anaconda does where nothing else is known. ``insecure``: the recipe accepts a source that nothing proves. ``trusted`` are addresses that a build answers for.
    """

    nonce: str | None = None
    insecure: bool = False
    trusted: frozenset[str] = frozenset()
    asks: bool = True
    proves_packages: bool = False


@dataclass(frozen=True)
class Rule:
    """A rule as the registry knows it; ``summary`` and ``description`` are its file's docstring."""

    name: str
    summary: str
    description: str
    severity: Severity
    find: Callable[[Kickstart, KickstartTarget], Iterable[Said]]


def get(name: str) -> Rule:
    """The rule called ``name``; KeyError if there is none."""
    return _all()[name]


def every() -> Iterator[Rule]:
    """All rules, by name."""
    return iter(_all().values())


@cache
def _all() -> dict[str, Rule]:
    return {name: _rule(name) for name in names()}


def _rule(name: str) -> Rule:
    module = importlib.import_module(f"imagebuild.kickstart.rules.{name.replace('-', '_')}")
    summary, _, description = inspect.cleandoc(module.__doc__ or "").partition("\n\n")
    if not summary or not description or module.SEVERITY not in ("error", "warning"):
        raise TypeError(f"the rule {name} needs a docstring with a reason, and a SEVERITY")
    return Rule(name, summary.rstrip("."), description.strip(), module.SEVERITY, module.find)
