"""The checks that the image of a recipe must pass: they follow from the recipe. Pure, but for the
scripts and tests that the recipe names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from imagebuild.errors import Problem, RecipeError
from imagebuild.recipe.model import cloud_init
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.verify import registry
from imagebuild.verify.check import CheckCall

GENERAL = (
    "clones-share-nothing",
    "cpu-hot-add",
    "failed-units",
    "memory-balloon",
    "reboot",
    "shutdown",
    "ssh-answers",
    "time-to-login",
)
"""What any image must do that is cloned, whatever its recipe."""
HOUSE_RULES = (
    "clock-synchronisation",
    "firewall",
    "io-scheduler",
    "listening-sockets",
    "network-interface",
    "packages",
    "root-file-system",
    "selinux",
    "serial-console",
    "sshd",
    "swap-off",
)
"""What the house rules of a template add."""
_OWN = ("script", "testinfra")
"""Checks whose content a user writes, as a text or in a file; a recipe may list several of each."""


def of(recipe: Recipe) -> list[CheckCall]:
    """The checks of a recipe, sorted by name: those that follow from its settings, and its own.

    A script in a file is replaced by its text, so that the artifact's manifest has everything that
    a later verification needs, and tests likewise, so that a changed file is noticed. Raises
    RecipeError for a file that cannot be read.
    """
    section = recipe.verify
    calls = {name: registry.call(name, params) for name, params in _following(recipe)}
    several = []
    for at, call in enumerate(section.checks):
        if call.name in section.without:
            continue
        if call.name in _OWN:
            several.append(_with_text(recipe, at, call))
        else:
            calls[call.name] = call
    left = [call for name, call in sorted(calls.items()) if name not in section.without]
    return [*left, *several]


def _following(recipe: Recipe) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Names and parameters of the checks that follow from what the recipe says."""
    machine, tuning, operations = recipe.machine, recipe.tuning, {call.name for call in recipe.operations}
    card = any(one.type != "none" for one in machine.networks)
    yield "clones-share-nothing", {"hostname": recipe.network.hostname}
    yield "failed-units", {}
    yield "reboot", {}
    yield "shutdown", {}
    yield "time-to-login", {}
    yield "clock-synchronisation", {}
    yield "swap-off", {}
    yield "packages", {"installed": list(recipe.all_packages)}
    grown = "grow-root-at-first-boot" in operations or cloud_init.grows(recipe)
    yield "root-file-system", {"grown": grown, "further": []}
    if machine.vcpus.current < machine.vcpus.maximum:
        yield "cpu-hot-add", {}
    if machine.balloon:
        yield "memory-balloon", {}
    if card and recipe.network.device:
        yield "network-interface", {"name": recipe.network.device}
    if card:
        yield "ssh-answers", {}
    if recipe.cloud_init.enabled and "NoCloud" in recipe.cloud_init.datasources:
        network = card and recipe.cloud_init.network
        yield "cloud-init-seed", {"network": network, "device": recipe.network.device if network else None}
    yield "sshd", {}
    yield "listening-sockets", {}
    if "disable-selinux" in operations:
        yield "selinux", {"mode": "disabled"}
    if "disable-firewall" in operations:
        yield "firewall", {"active": False}
    if tuning.io_scheduler:
        yield "io-scheduler", {"scheduler": tuning.io_scheduler}
    if tuning.transparent_huge_pages:
        yield "huge-pages", {"transparent": tuning.transparent_huge_pages}
    if tuning.serial_console and machine.serial:
        yield "serial-console", {}


def general(*, house_rules: bool) -> list[CheckCall]:
    """The checks of an image without a recipe."""
    return [registry.call(name) for name in sorted((*GENERAL, *(HOUSE_RULES if house_rules else ())))]


def recorded(calls: Sequence[CheckCall]) -> list[dict[str, Any]]:
    """The checks as a manifest lists them."""
    return [{call.name: call.params.for_manifest()} for call in calls]


def missing(recipe: Recipe) -> Iterator[Problem]:
    """A problem for each script or test of ``verify.checks`` whose file cannot be read."""
    for at, call in enumerate(recipe.verify.checks):
        if call.name in _OWN:
            try:
                _with_text(recipe, at, call)
            except RecipeError as error:
                yield from error.problems


def _with_text(recipe: Recipe, at: int, call: CheckCall) -> CheckCall:
    given = call.params.model_dump()
    if given.get("file") is None:
        return call
    mark = recipe.place(("verify", "checks", at, call.name, "file"))
    path = Path(mark.file).absolute().parent / str(given["file"])
    try:
        text = path.read_text(encoding="utf-8")
        why = "" if text else "it is empty"
    except (OSError, ValueError) as error:
        text, why = "", error.strerror or str(error) if isinstance(error, OSError) else str(error)
    if why:
        problem = Problem(mark.file, mark.value, f"verify.checks.{call.name}.file", f"{path} cannot be used: {why}")
        raise RecipeError([problem])
    return registry.call(call.name, {**given, "file": None, "text": text})
