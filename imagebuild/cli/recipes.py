"""``imagebuild list``, ``lint`` and ``render``: recipes and their kickstarts, without building anything."""

from __future__ import annotations

import json

import click

from imagebuild import plan as plans
from imagebuild.cli.options import RecipeName, json_option
from imagebuild.errors import Problem, RecipeError, UsageError
from imagebuild.kickstrap.mirror import Mirror, host_mirror
from imagebuild.recipe.load import load
from imagebuild.recipe.model import Recipe
from imagebuild.recipe.search import available, recipe_folders


@click.command("list")
@json_option
def list_recipes(as_json: bool) -> None:
    """List the recipes that `build` knows by name, the project's own first."""
    found = available(recipe_folders())
    for name, path in found.items():
        try:
            recipe = load(path)
            described = recipe.description
        except RecipeError as error:
            described = f"({len(error.problems)} problems, see `imagebuild lint {name}`)"
        if as_json:
            click.echo(json.dumps({"name": name, "description": described, "file": str(path)}))
        else:
            click.echo(f"{name:<20} {described:<52} {path}")


@click.command(
    epilog="""\b
Examples:
  imagebuild lint                    all recipes that are known by name
  imagebuild lint recipes/web.yaml"""
)
@click.argument("recipes", nargs=-1, type=RecipeName())
@json_option
def lint(recipes: tuple[str, ...], as_json: bool) -> None:
    """Check RECIPES and the kickstarts they give, without building. Exit code 2 if anything is wrong.

    Each finding is told as file:line: where: what. Secrets are not needed.
    """
    problems: list[Problem] = []
    names = recipes or tuple(str(path) for path in available(recipe_folders()).values())
    for name in names:
        try:
            _rendered(load(name))
        except RecipeError as error:
            problems += error.problems
    if as_json:
        for problem in problems:
            click.echo(json.dumps(vars(problem)))
        if problems:
            raise click.exceptions.Exit(RecipeError.exit_code)
    elif problems:
        raise RecipeError(problems)
    else:
        click.echo(f"{len(names)} {'recipe' if len(names) == 1 else 'recipes'}, nothing wrong")


@click.command(
    epilog="""\b
Examples:
  imagebuild render debian-13
  imagebuild render debian-13 --payload in-vm"""
)
@click.argument("recipe", type=RecipeName())
@click.option(
    "--payload", type=click.Choice(["host", "in-vm"]), help="Render as if the recipe's installer.payload were this."
)
def render(recipe: str, payload: str | None) -> None:
    """Print the kickstart of RECIPE, checked, with stand-ins for secrets, nonce and digest."""
    click.echo(_rendered(load(recipe), payload), nl=False)


def _rendered(recipe: Recipe, payload: str | None = None) -> str:
    if payload:
        if recipe.installer.type != "kickstrap":
            raise UsageError("--payload has no meaning for Anaconda")
        recipe = recipe.model_copy(update={"installer": recipe.installer.model_copy(update={"payload": payload})})
    mirror = Mirror(recipe.installer.mirror) if recipe.installer.mirror else host_mirror()
    return plans.sample(recipe, mirror).text
