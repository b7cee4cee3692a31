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

from imagebuild.cli import problems
from imagebuild.cli.options import RecipeName, json_option, refuse_unknown, store_option, var_option
from imagebuild.cli.output import echo, echo_data, echo_lines
from imagebuild.errors import Problem, RecipeError
from imagebuild.kickstart import external, syntax_version
from imagebuild.kickstart import rule as rules
from imagebuild.kickstart.merged_report import Gathered
from imagebuild.log import redact
from imagebuild.printable import counted

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
@click.option("--list-syntaxes", is_flag=True, help="List the versions for --syntax and exit.")
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
    list_syntaxes: bool,
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
    if list_syntaxes:
        _list_syntaxes(as_json=as_json)
        return
    kickstarts = [*files, *(name for name in recipes if _is_kickstart(name))]
    names: tuple[str, ...] = tuple(name for name in recipes if not _is_kickstart(name))
    if not kickstarts and not names:
        from imagebuild.cli.lint_recipes import known

        names = known()
    found = Gathered()
    version = syntax_version.chosen(syntax) if syntax else None
    for name in kickstarts:
        stdin = name == external.STDIN
        found.add(external.read(sys.stdin.buffer, name, version) if stdin else external.read_file(Path(name), version))
    images, notes = 0, list[str]()
    if names:
        from imagebuild.cli.lint_recipes import lint_recipes

        images, notes = lint_recipes(names, given, found, store=store, offline=offline)
    elif not found.images:
        refuse_unknown(given, ())
    checked = [
        counted(number, what)
        for number, what in ((len(names), "recipe"), (images, "image"), (len(kickstarts), "kickstart"))
        if number or (what != "kickstart" and names)
    ]
    _print_findings(found, checked, notes, as_json=as_json, as_sarif=as_sarif)


def _is_kickstart(name: str) -> bool:
    return name == external.STDIN or name.endswith(_KICKSTARTS)


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


def _list_syntaxes(*, as_json: bool) -> None:
    for name in syntax_version.every():
        if as_json:
            from imagebuild.cli.records import SyntaxDescribed
            from imagebuild.events import data

            echo_data(data(SyntaxDescribed(name=name, newest=name == syntax_version.NEWEST)))
        else:
            echo(syntax_version.described(name))
