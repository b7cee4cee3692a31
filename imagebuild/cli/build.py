"""``imagebuild build`` and ``imagebuild plan``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click

from imagebuild import build as engine
from imagebuild.cli import problems
from imagebuild.cli.options import (
    RecipeName,
    json_option,
    loaded,
    log_to_stderr,
    opened,
    output_option,
    store_option,
    var_option,
    verbose_option,
)
from imagebuild.cli.report import JsonReporter, minutes, reporter, rounded
from imagebuild.entries import Settings


@click.command(
    epilog="""\b
Examples:
  imagebuild build debian-13
  imagebuild build ./recipes/web.yaml --output /srv/images --var site=berlin
  imagebuild build debian-13 --json | jq -r 'select(.event == "artifact").image'"""
)
@click.argument("recipes", nargs=-1, required=True, type=RecipeName())
@var_option
@click.option("--refresh", is_flag=True, help="Make every step anew, whatever the store holds.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but the paths of the images.")
@output_option
@store_option
@json_option
@verbose_option
def build(
    recipes: tuple[str, ...],
    given: dict[str, str],
    refresh: bool,
    quiet: bool,
    output: Path,
    store: Path | None,
    as_json: bool,
    verbose: bool,
) -> None:
    """Build the images of RECIPES, one after the other.

    A recipe is named (recipes/NAME.yaml, then the shipped ones) or given as a file; with a matrix it yields several
    images, and the name of one of them builds just that. What an earlier build finished is used again. The last line printed for a recipe is the path of its image.
    """
    if verbose:
        log_to_stderr()
    wanted = loaded(recipes, given)
    settings = Settings(opened(store), output, refresh)
    engine.clear_dead_runs(settings.store)
    told = reporter(as_json=as_json, quiet=quiet)
    for recipe in wanted:
        artifact = engine.build(recipe, settings, told)
        if isinstance(told, JsonReporter):
            told.tell(
                event="artifact",
                recipe=recipe.name,
                version=artifact.version,
                image=str(artifact.image),
                manifest=str(artifact.folder / "manifest.json"),
            )
        else:
            click.echo(artifact.image)


@click.command(
    epilog="""\b
Examples:
  imagebuild plan debian-13
  imagebuild plan debian-13 --json | jq '.steps[] | select(.cached | not)'"""
)
@click.argument("recipes", nargs=-1, required=True, type=RecipeName())
@var_option
@click.option("--refresh", is_flag=True, help="Plan as `build --refresh` would.")
@output_option
@store_option
@json_option
def plan(
    recipes: tuple[str, ...], given: dict[str, str], refresh: bool, output: Path, store: Path | None, as_json: bool
) -> None:
    """Show what a build of RECIPES would do, step by step, and why. Changes nothing."""
    settings = Settings(opened(store), output, refresh)
    for recipe in loaded(recipes, given):
        outlook = engine.look_ahead(engine.make_plan(recipe, settings.store), settings)
        if as_json:
            click.echo(json.dumps(_as_data(outlook)))
            continue
        for line in problems.lines(outlook.plan.warnings):
            click.echo(line, err=True)
        click.echo("\n".join(_lines(outlook)))
        for address in outlook.asked:
            click.echo(f"  looked at {address}")
        if outlook.artifact:
            click.echo(f"  {outlook.artifact.image}")


def _lines(outlook: engine.Outlook) -> Iterator[str]:
    """A line for the whole, and one for each step; the column of times is there when one of them is known."""
    total = outlook.expected_seconds
    took = f", ~{minutes(total)} to go" if total else ""
    yield f"{outlook.plan.recipe.name}  {len(outlook.plan.steps)} steps, {outlook.cached} cached{took}"
    for step in outlook.plan.steps:
        why, seconds = outlook.to_run.get(step.name), outlook.expected.get(step.name)
        time = f"{'' if seconds is None else f'~{minutes(seconds)}':>7}  " if outlook.expected else ""
        yield f"  {step.name:<10} {'to run' if why else 'cached':<7} {step.what:<44} {time}{why or ''}".rstrip()


def _as_data(outlook: engine.Outlook) -> dict[str, object]:
    steps = [
        {
            "step": step.name,
            "what": step.what,
            "cached": step.name not in outlook.to_run,
            "why": outlook.to_run.get(step.name),
            "fingerprint": step.fingerprint,
            "expected_seconds": rounded(outlook.expected.get(step.name)),
        }
        for step in outlook.plan.steps
    ]
    image = str(outlook.artifact.image) if outlook.artifact else None
    warnings = [problems.as_data(warning) for warning in outlook.plan.warnings]
    return {
        "recipe": outlook.plan.recipe.name,
        "steps": steps,
        "expected_seconds": rounded(outlook.expected_seconds),
        "image": image,
        "warnings": warnings,
        "asked": list(outlook.asked),
    }
