"""Does a template do anything with what its recipe says? One that knows no users would leave them out in silence.

And the other way round: does an operation undo what the kickstart says?
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from imagebuild.errors import Problem
from imagebuild.kickstart.render import Rendered
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.recipe.model.tuning import has_elevator
from imagebuild.schema.document import Route, dotted

_MACROS = {
    "users": "write {{ guest.accounts(users, os) }} into it, with guest.ks.j2 imported as guest",
    "services": "write {{ guest.services(services) }} into it, with guest.ks.j2 imported as guest",
    "tuning": "write {{ guest.settings(users, tuning) }} into it, with guest.ks.j2 imported as guest",
    "kernel_arguments": 'write --append={{ kernel_arguments | join(" ") }} behind bootloader',
    "packages": "loop over packages in %packages",
}


def problems(recipe: Recipe, kickstart: Rendered) -> Iterator[Problem]:
    """What the recipe says and its kickstart does not mention with a word: for each macro that would, at the first line."""
    yield from _renamed(recipe, kickstart)
    words = _words(kickstart.text)
    missing: dict[str, list[tuple[Route, str]]] = {}
    for macro, route, value in _wanted(recipe):
        if value not in words:
            missing.setdefault(macro, []).append((route, value))
    for macro, told in missing.items():
        route, value = told[0]
        mark = recipe.place(route)
        more = f" and {len(told) - 1} more" if len(told) > 1 else ""
        message = f"the template {recipe.kickstart.template} does nothing with {value}{more}"
        yield Problem(mark.file, mark.value, dotted(route), message, _MACROS[macro])


def _renamed(recipe: Recipe, kickstart: Rendered) -> Iterator[Problem]:
    """A hostname of the kickstart that the operation reset-hostname would replace by another."""
    said = re.search(r"^network\s[^#\n]*--hostname(?:=|\s+)[\"']?([^\s\"']+)", kickstart.text, re.MULTILINE)
    for at, call in enumerate(recipe.operations):
        if said is None or call.name != "reset-hostname":
            continue
        becomes = call.params.model_dump()["hostname"]
        if becomes != said[1]:
            route: Route = ("operations", at)
            mark = recipe.place(route)
            message = f"the kickstart names the guest {said[1]}, and reset-hostname names it {becomes} again"
            hint = f"give it the name: reset-hostname: {{hostname: {said[1]}}}; or remove one of the two"
            yield Problem(mark.file, mark.value, dotted(route), message, hint)


def _words(text: str) -> set[str]:
    """Every word, every value of an option, and every item of a list in one."""
    found: set[str] = set()
    for word in re.findall(r"[^\s'\"]+", text):
        value = word.partition("=")[2]
        found.update((word, value, *word.split(","), *value.split(",")))
    return found


def _wanted(recipe: Recipe) -> Iterator[tuple[str, Route, str]]:
    """The macro that should write a value, where the recipe says it, and the value."""
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
