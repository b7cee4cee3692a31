"""``imagebuild lint``: recipes and their kickstarts, without building anything."""

from __future__ import annotations

import json

import click

from imagebuild.cli.options import RecipeName, json_option, refuse_unknown, var_option
from imagebuild.cli.render import rendered
from imagebuild.errors import Problem, RecipeError
from imagebuild.recipe.catalogue import clashes
from imagebuild.recipe.compose import Image
from imagebuild.recipe.load import checked_all, select
from imagebuild.recipe.model import Recipe
from imagebuild.recipe.search import available, recipe_folders


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
            rendered(recipe)
        except RecipeError as error:
            problems += error.problems
    problems = [*dict.fromkeys([*problems, *clashes(images)])]
    if not problems:
        refuse_unknown(given, (recipe.variables for recipe in checked))
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
