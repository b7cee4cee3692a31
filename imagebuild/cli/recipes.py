"""``imagebuild lint`` and ``render``: recipes and their kickstarts, without building anything."""

from __future__ import annotations

import json

import click

from imagebuild import plan as plans
from imagebuild.cli.options import RecipeName, json_option, refuse_unknown, var_option
from imagebuild.errors import Problem, RecipeError, UsageError
from imagebuild.kickstrap.mirror import Mirror, host_mirror
from imagebuild.recipe.catalogue import clashes
from imagebuild.recipe.compose import Image
from imagebuild.recipe.load import checked_all, load, select
from imagebuild.recipe.model import Recipe
from imagebuild.recipe.search import available, recipe_folders
from imagebuild.recipe.written import written


@click.command(
    epilog="""\b
Examples:
  imagebuild lint                    all recipes that are known by name
  imagebuild lint recipes/web.yaml"""
)
@click.argument("recipes", nargs=-1, type=RecipeName())
@var_option
@json_option
def lint(recipes: tuple[str, ...], given: dict[str, str], as_json: bool) -> None:
    """Check RECIPES and the kickstarts they give, without building. Exit code 2 if anything is wrong.

    Each finding is told as file:line: where: what. Secrets are not needed.
    """
    problems: list[Problem] = []
    images: list[Image] = []
    checked: list[Recipe] = []
    names = recipes or tuple(str(path) for path in available(recipe_folders()).values())
    for name in names:
        try:
            selected = select(name, given=given)
            images += selected
            checked += checked_all(selected)
        except RecipeError as error:
            problems += error.problems
    for recipe in checked:
        try:
            _rendered(recipe)
        except RecipeError as error:
            problems += error.problems
    problems = [*dict.fromkeys([*problems, *clashes(images)])]
    if not problems:
        refuse_unknown(given, checked)
    if as_json:
        for problem in problems:
            click.echo(json.dumps(vars(problem)))
        if problems:
            raise click.exceptions.Exit(RecipeError.exit_code)
    elif problems:
        raise RecipeError(problems)
    else:
        click.echo(f"{_counted(len(names), 'recipe')}, {_counted(len(images), 'image')}, nothing wrong")


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


@click.command(
    epilog="""\b
Examples:
  imagebuild render debian-13
  imagebuild render debian-13 --payload in-vm
  imagebuild render debian-13 --recipe"""
)
@click.argument("recipe", type=RecipeName())
@click.option(
    "--payload", type=click.Choice(["host", "in-vm"]), help="Render as if the recipe's installer.payload were this."
)
@click.option("--recipe", "as_recipe", is_flag=True, help="Print the recipe itself, put together.")
@var_option
def render(recipe: str, payload: str | None, as_recipe: bool, given: dict[str, str]) -> None:
    """Print the kickstart of RECIPE, checked, with stand-ins for secrets, nonce and digest.

    With --recipe, print the recipe with all that it extends and with its variables put in: a whole recipe again,
    each value with the file and line that it comes from.
    """
    wanted = load(recipe, given=given)
    refuse_unknown(given, [wanted])
    click.echo(written(wanted) if as_recipe else _rendered(wanted, payload), nl=False)


def _rendered(recipe: Recipe, payload: str | None = None) -> str:
    if payload:
        if recipe.installer.type != "kickstrap":
            raise UsageError("--payload has no meaning for Anaconda")
        recipe = recipe.model_copy(update={"installer": recipe.installer.model_copy(update={"payload": payload})})
    mirror = Mirror(recipe.installer.mirror) if recipe.installer.mirror else host_mirror()
    return plans.sample(recipe, mirror).text
