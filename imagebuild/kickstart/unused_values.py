"""Checks that a template uses the recipe's values: one without users would silently leave them out.

It also checks that no operation undoes what the kickstart says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from imagebuild.errors import Problem
from imagebuild.kickstart.rendered import Rendered
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.recipe.model.tuning import has_elevator
from imagebuild.schema.document import Route
from imagebuild.schema.findings import where

_MACROS = {
    "users": "write {{ guest.accounts(users, os) }} into it, with guest.ks.j2 imported as guest",
    "services": "write {{ guest.services(services) }} into it, with guest.ks.j2 imported as guest",
    "tuning": "write {{ guest.settings(users, tuning) }} into it, with guest.ks.j2 imported as guest",
    "kernel_arguments": 'write --append={{ kernel_arguments | join(" ") }} after bootloader',
    "packages": "loop over packages in %packages",
}


def problems(recipe: Recipe, kickstart: Rendered) -> Iterator[Problem]:
    """Values of the recipe that do not appear in its kickstart: one problem per macro, at the first
    such value.
    """
    yield from _renamed(recipe, kickstart)
    words = _words(kickstart.text)
    missing: dict[str, list[tuple[Route, str]]] = {}
    for macro, route, value in _wanted(recipe):
        if value not in words:
            missing.setdefault(macro, []).append((route, value))
    for macro, values in missing.items():
        route, value = values[0]
        mark = recipe.place(route)
        more = f" and {len(values) - 1} more" if len(values) > 1 else ""
        message = f"the template {recipe.kickstart.template} does not use {value}{more}"
        yield Problem(mark.file, mark.value, where(route, recipe.document), message, _MACROS[macro])


def _renamed(recipe: Recipe, kickstart: Rendered) -> Iterator[Problem]:
    """A hostname in the kickstart that the operation reset-hostname would replace with another."""
    said = re.search(r"^network\s[^#\n]*--hostname(?:=|\s+)[\"']?([^\s\"']+)", kickstart.text, re.MULTILINE)
    for at, call in enumerate(recipe.operations):
        if said is None or call.name != "reset-hostname":
            continue
        becomes = call.params.model_dump()["hostname"]
        if becomes != said[1]:
            route: Route = ("operations", at)
            mark = recipe.place(route)
            message = f"the kickstart names the guest {said[1]}, but reset-hostname renames it to {becomes}"
            hint = f"use the same name: reset-hostname: {{hostname: {said[1]}}}; or remove one of the two"
            yield Problem(mark.file, mark.value, where(route, recipe.document), message, hint)


def _words(text: str) -> set[str]:
    """All words, the values of options, and the items of comma-separated lists in them."""
    return set().union(*map(_words_of_line, text.splitlines()))


@lru_cache(maxsize=4096)  # the images of a matrix share most lines
def _words_of_line(line: str) -> frozenset[str]:
    found: set[str] = set()
    for word in re.findall(r"[^\s'\"]+", line):
        value = word.partition("=")[2]
        found.update((word, value, *word.split(","), *value.split(",")))
    return frozenset(found)


def _wanted(recipe: Recipe) -> Iterator[tuple[str, Route, str]]:
    """The macro that should write a value, the value's place in the recipe, and the value."""
    for at, user in enumerate(recipe.users):
        yield "users", ("users", at, "name"), user.name
    for key in ("enabled", "disabled"):
        for at, name in enumerate(getattr(recipe.services, key)):
            yield "services", ("services", key, at), name
    for key in ("packages", "kernel_arguments"):
        for at, value in enumerate(getattr(recipe, key)):
            yield key, (key, at), value
    tuning = recipe.tuning
    if tuning.tuned_profile:
        yield "tuning", ("tuning", "tuned_profile"), tuning.tuned_profile
    if tuning.io_scheduler and not has_elevator(recipe.os):
        yield "tuning", ("tuning", "io_scheduler"), tuning.io_scheduler
    for key, argument in tuning.brought(recipe.os):
        yield "kernel_arguments", ("tuning", key), argument
