"""``imagebuild lint``: check recipes, the kickstarts rendered from them, and kickstart files,
without building.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from imagebuild.build import installers, package_names
from imagebuild.build import plan as plans
from imagebuild.build.package_names import NamedPackages
from imagebuild.cli import problems
from imagebuild.cli.options import RecipeName, json_option, opened, refuse_unknown, store_option, var_option
from imagebuild.cli.output import echo, echo_data, echo_lines
from imagebuild.errors import HostError, Problem, RecipeError
from imagebuild.kickstart import external
from imagebuild.kickstart import rule as rules
from imagebuild.kickstart.merged_report import Gathered
from imagebuild.log import redact
from imagebuild.printable import counted
from imagebuild.recipe.catalogue import clashes
from imagebuild.recipe.compose.images import RecipeImage
from imagebuild.recipe.folders import by_default
from imagebuild.recipe.load import checked_all, select
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.store.store import Store

_KICKSTARTS = (".ks", ".cfg", ".ks.in")


@click.command(
    epilog="""\b
Examples:
  imagebuild lint                            all recipes of this project
  imagebuild lint recipes/web.yaml
  imagebuild lint --syntax RHEL9 old.ks      a kickstart file without a recipe
  imagebuild lint --sarif >lint.sarif        for annotations in a merge request"""
)
@click.argument("recipes", nargs=-1, type=RecipeName())
@click.option(
    "--kickstart",
    "files",
    multiple=True,
    metavar="FILE",
    help="Check FILE as a kickstart, whatever its name is; - is standard input; repeatable.",
)
@click.option(
    "--syntax", metavar="VERSION", help="Syntax version of the kickstart files, such as RHEL9. [default: newest]"
)
@click.option("--list-rules", is_flag=True, help="List the rules and exit.")
@click.option("--sarif", "as_sarif", is_flag=True, help="Print a SARIF 2.1.0 log, for annotations in CI.")
@click.option(
    "--offline", is_flag=True, envvar="IMAGEBUILD_OFFLINE",
    help="Look up names of packages only in what the store has; also set by IMAGEBUILD_OFFLINE.",
)  # fmt: skip
@var_option
@store_option
@json_option
def lint(
    recipes: tuple[str, ...],
    files: tuple[str, ...],
    syntax: str | None,
    list_rules: bool,
    as_sarif: bool,
    offline: bool,
    given: dict[str, str],
    store: Path | None,
    as_json: bool,
) -> None:
    """Check RECIPES and the kickstarts rendered from them, or kickstart files, without building.

    Without arguments, all recipes of the project are checked; outside of a project, the shipped
    ones. Arguments that end in .ks or .cfg, and -, are kickstart files. Each finding is printed as
    file:line: where: what. Secrets are not needed. Exit code 2 if there are errors; warnings do not
    count.
    """
    if list_rules:
        _list_rules(as_json=as_json)
        return
    kickstarts = [*files, *(name for name in recipes if _is_kickstart(name))]
    names: tuple[str, ...] = tuple(name for name in recipes if not _is_kickstart(name))
    if not kickstarts:
        names = names or tuple(map(str, by_default()))
    found = Gathered()
    version = external.known_syntax(syntax) if syntax else None
    for name in kickstarts:
        stdin = name == external.STDIN
        found.add(external.read(sys.stdin.buffer, name, version) if stdin else external.read_file(Path(name), version))
    images, named = _lint_recipes(names, given, found)
    wrong, notes = package_names.look_up(named, _usable(store) if named else None, offline=offline)
    for of_one in wrong:
        found.tell(of_one)
    checked = [
        counted(number, what)
        for number, what in ((len(names), "recipe"), (images, "image"), (len(kickstarts), "kickstart"))
        if number or (what != "kickstart" and names)
    ]
    _print_findings(found, checked, notes, as_json=as_json, as_sarif=as_sarif)


def _usable(store: Path | None) -> Store | None:
    """The store, which only caches here; None if it cannot be used."""
    try:
        return opened(store)
    except HostError:
        return None


def _is_kickstart(name: str) -> bool:
    return name == external.STDIN or name.endswith(_KICKSTARTS)


def _lint_recipes(names: tuple[str, ...], given: dict[str, str], found: Gathered) -> tuple[int, list[NamedPackages]]:
    """Add the findings of these recipes to ``found``. Returns the number of images that they yield,
    and the packages that they name.
    """
    images: list[RecipeImage] = []
    checked: list[Recipe] = []
    named: list[NamedPackages] = []
    for name in names:
        try:
            selected = select(name, given=given)
            images += selected
            checked += checked_all(selected)
        except RecipeError as error:
            found.tell(error.problems)
    for recipe in checked:
        try:
            rendered, report = plans.survey(recipe, installers.of(recipe).look_here(recipe))
            found.add(report)
            named.append(NamedPackages.of(recipe, rendered, report))
        except RecipeError as error:
            found.tell(error.problems)
    found.tell(clashes(images))
    if not found.images:
        refuse_unknown(given, (recipe.variables for recipe in checked))
    return len(images), named


def _print_findings(found: Gathered, checked: list[str], notes: list[str], *, as_json: bool, as_sarif: bool) -> None:
    """Print the findings; exit with code 2 if there are errors among them."""
    printed = [_clean(problem) for problem in (found.problems() if as_json else found.described())]
    number = {kind: sum(problem.severity == kind for problem in printed) for kind in ("error", "warning")}
    if as_sarif:
        from imagebuild.cli import sarif  # imported late: few runs need it

        echo_data(sarif.log(printed, Path.cwd()), indent=1)
    elif as_json:
        for problem, images in zip(printed, (found.images[one] for one in found.problems()), strict=True):
            echo_data(_finding(problem, images))
        echo_data(_summary(number["error"], number["warning"], checked, notes))
    else:
        echo_lines(problems.lines(printed), err=True)
        echo_lines((f"note: {one}" for one in notes), err=True)
        results = [counted(count, what) for what, count in number.items() if count]
        echo(", ".join([*checked, *(results or ["no problems found"])]))
    if number["error"]:
        raise click.exceptions.Exit(RecipeError.exit_code)


def _clean(problem: Problem) -> Problem:
    return replace(problem, message=redact(problem.message))


# The records are imported only for --json: pydantic's dataclasses take their time.
def _finding(problem: Problem, images: int) -> dict[str, Any]:
    from imagebuild.cli.records import LintFinding
    from imagebuild.events import data

    return data(LintFinding(**problems.as_data(problem), images=images))


def _summary(errors: int, warnings: int, checked: Sequence[str], notes: Sequence[str]) -> dict[str, Any]:
    from imagebuild.cli.records import LintEnded
    from imagebuild.events import data

    return data(LintEnded(errors=errors, warnings=warnings, checked=tuple(checked), notes=tuple(notes)))


def _rule(rule: rules.DescribedRule) -> dict[str, Any]:
    from imagebuild.cli.records import RuleDescribed
    from imagebuild.events import data

    return data(RuleDescribed(name=rule.name, severity=rule.severity, summary=rule.summary, help=rule.description))


def _list_rules(*, as_json: bool) -> None:
    for rule in rules.described():
        if as_json:
            echo_data(_rule(rule))
        else:
            echo(f"{rule.name:<28} {rule.severity:<8} {rule.summary}")
