"""``imagebuild build`` and ``imagebuild plan``."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from imagebuild.build import engine, verdict
from imagebuild.build.step_cache import Settings
from imagebuild.cli import problems
from imagebuild.cli.build_end import BuiltImage, TimedReporter, has_places, next_steps, times
from imagebuild.cli.build_results import exit_code, print_result, table
from imagebuild.cli.lines import minutes, rounded
from imagebuild.cli.options import (
    RecipeName,
    fresh_options,
    json_option,
    loaded,
    log_to_stderr,
    opened,
    output_option,
    store_option,
    var_option,
    verbose_option,
)
from imagebuild.cli.output import echo, echo_data, echo_lines, shown
from imagebuild.cli.progress_options import chosen, progress_options
from imagebuild.cli.project_options import config_option
from imagebuild.cli.records import BuildPlanned, PlannedStep
from imagebuild.cli.remote_options import remote_option, remote_settings, required
from imagebuild.cli.report import reporter
from imagebuild.cli.unchanged_record import Keeper
from imagebuild.events import ArtifactReady, ErrorReported, data
from imagebuild.host import probe_cache
from imagebuild.printable import counted
from imagebuild.progress import Reporter
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.store.artifact import MANIFEST, ArtifactFolder

if TYPE_CHECKING:
    from imagebuild.remote.opening import RemoteSettings


@click.command(
    epilog="""\b
Examples:
  imagebuild build debian-13
  imagebuild build debian-13 debian-13-server web --jobs 2
  imagebuild build debian-13 --if-changed --no-verify
  imagebuild build debian-13 --trace build.json
  imagebuild build debian-13 --remote-store sftp://store.example/srv/imagebuild
  imagebuild build ./recipes/web.yaml --output /srv/images --var site=berlin
  imagebuild build debian-13 --json | jq -r 'select(.event == "artifact").image'"""
)
@click.argument("recipes", nargs=-1, required=True, type=RecipeName())
@var_option
@click.option("--image", "only", multiple=True, metavar="NAME", help="Build only this image of RECIPES; repeatable.")
@click.option(
    "-j", "--jobs", type=click.IntRange(min=1), metavar="N",
    help="Build up to N images in parallel, as far as memory, processors and disk space allow."
    " [default: one per processor]",
)  # fmt: skip
@click.option(
    "--keep-going/--fail-fast", default=True, show_default=True,
    help="When a build fails, continue with the others or stop them.",
)  # fmt: skip
@fresh_options
@click.option("--refresh", is_flag=True, help="Rebuild every step, even if the store has its result.")
@click.option(
    "--verify/--no-verify", "verify", default=None,
    help="Verify images in booted clones before they become the latest, or not. [default: as the recipe says]",
)  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="Print only the paths of the images.")
@click.option(
    "--trace", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Write when each step and program ran, and what they used; https://ui.perfetto.dev shows the file.",
)  # fmt: skip
@output_option
@store_option
@remote_option
@config_option
@json_option
@progress_options
@verbose_option
@click.pass_context
def build(
    ctx: click.Context,
    recipes: tuple[str, ...],
    given: dict[str, str],
    only: tuple[str, ...],
    jobs: int | None,
    keep_going: bool,
    if_changed: bool,
    max_age: int | None,
    refresh: bool,
    verify: bool | None,
    quiet: bool,
    trace: Path | None,
    output: Path,
    store: Path | None,
    remote_store: str | None,
    config: Path | None,
    as_json: bool,
    verbose: bool,
) -> None:
    """Build the images of RECIPES, several in parallel if the host has room for them.

    Each of RECIPES is a name (recipes/NAME.yaml, then the shipped recipes) or a file. A recipe with
    a matrix yields several images; the name of one of them builds only that image. Steps that an
    earlier build finished are reused. The last line printed for a recipe is the path of its image.
    """
    if verbose:
        log_to_stderr()
    wanted = loaded(recipes, given, only)
    remote = remote_settings(remote_store, config)
    settings = Settings(opened(store), output, refresh, if_changed, max_age, verify, remote=remote)
    engine.clear_dead_runs(settings.store)
    reports = reporter(as_json=as_json, quiet=quiet)
    keeper = Keeper(reports, as_json=as_json, quiet=quiet, keeps=trace is None and not verbose)
    timed = TimedReporter(keeper if trace is None else _traced(ctx, trace, reports))
    talks = not (as_json or quiet or chosen().progress == "none")
    if len(wanted) == 1:
        event = _built(wanted[0], settings, timed, keeper.unchanged)
        echo_lines(_ending(timed, wanted, [event], settings) if talks else ())
        print_result(reports, event)
        keeper.keep(wanted[0], settings)
        return
    from imagebuild.build import scheduler  # one build is made by this process

    builds = scheduler.Builds(
        wanted,
        settings,
        lambda recipe: scheduler.words(recipe, settings, given, verbose=verbose),
        timed,
        jobs=jobs or len(os.sched_getaffinity(0)),
        fail_fast=not keep_going,
        beside=lambda line: echo(line, err=True) if verbose else None,
        ended=lambda outcome: print_result(reports, outcome.end),
    )
    outcomes = builds.go()
    if not as_json and not quiet:
        table(outcomes)
    echo_lines(_ending(timed, wanted, [one.end for one in outcomes], settings) if talks else ())
    if failed := exit_code(outcomes):
        sys.exit(failed)


def _traced(ctx: click.Context, path: Path, reports: Reporter) -> Reporter:
    from imagebuild.trace import traced  # most builds write no trace

    return ctx.with_resource(traced(path, reports))


def _built(recipe: Recipe, settings: Settings, reports: Reporter, when_unchanged: engine.Unchanged) -> ArtifactReady:
    """Build one recipe in this process; ``unchanged`` if the image already existed."""
    before = ArtifactFolder(settings.output, recipe.name).latest()
    artifact = engine.build(recipe, settings, reports, when_unchanged)
    unchanged = before is not None and before.version == artifact.version
    if unchanged and settings.if_changed:
        reports.note(recipe.name, f"unchanged since {artifact.version}")
    return ArtifactReady(
        unchanged=unchanged,
        recipe=artifact.recipe,
        version=artifact.version,
        image=str(artifact.image),
        manifest=str(artifact.folder / MANIFEST),
    )


def _ending(
    timed: TimedReporter,
    recipes: Sequence[Recipe],
    ends: Sequence[ArtifactReady | ErrorReported],
    settings: Settings,
) -> list[str]:
    """Where the time went, and what to do next with the first image that was built."""
    built = [
        (recipe, end)
        for recipe, end in zip(recipes, ends, strict=True)
        if isinstance(end, ArtifactReady) and not end.unchanged
    ]
    if not built:
        return []
    recipe, end = built[0]
    folder = ArtifactFolder(settings.output, recipe.name)
    older = [path for path in folder.superfluous(0) if path.name != end.version]
    verified = bool(verdict.wanted(recipe, asked=settings.verify))
    image = BuiltImage(recipe.name, settings.output, older[0] if older else None, verified)
    return [*times(timed.seconds, timed.total), *next_steps(image, project=has_places())]


@click.command(
    epilog="""\b
Examples:
  imagebuild plan debian-13
  imagebuild plan debian-13 --ask-remote
  imagebuild plan debian-13 --json | jq '.steps[] | select(.cached | not)'"""
)
@click.argument("recipes", nargs=-1, required=True, type=RecipeName())
@var_option
@fresh_options
@click.option("--refresh", is_flag=True, help="Plan as `build --refresh` would.")
@click.option("--verify/--no-verify", "verify", default=None, help="Plan as `build` would with this option.")
@click.option("--ask-remote", is_flag=True, help="Ask the remote store what it has of the steps to run.")
@output_option
@store_option
@remote_option
@config_option
@json_option
def plan(
    recipes: tuple[str, ...],
    given: dict[str, str],
    if_changed: bool,
    max_age: int | None,
    refresh: bool,
    verify: bool | None,
    ask_remote: bool,
    output: Path,
    store: Path | None,
    remote_store: str | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Show what a build of RECIPES would do, step by step, and why. Changes nothing."""
    settings = Settings(opened(store), output, refresh, if_changed, max_age, verify)
    remote = required(remote_store, config) if ask_remote else None
    for outlook in _planned(loaded(recipes, given), settings):
        there = None if remote is None else _there(outlook, remote)
        if as_json:
            echo_data(data(_record(outlook, there)))
            continue
        echo_lines(problems.lines(outlook.plan.warnings), err=True)
        echo_lines(_lines(outlook, there or ()))
        echo_lines(f"  checked {address}" for address in outlook.asked)
        if outlook.artifact:
            echo(f"  {outlook.artifact.image}")


def _planned(recipes: Sequence[Recipe], settings: Settings) -> Iterator[engine.Outlook]:
    with probe_cache.unchanging():
        for recipe in recipes:
            yield engine.planned(recipe, settings)


def _there(outlook: engine.Outlook, remote: RemoteSettings) -> Collection[str]:
    from imagebuild.build import sharing  # most plans are made without a remote store

    return sharing.there(outlook, remote)


def _lines(outlook: engine.Outlook, there: Collection[str]) -> Iterator[str]:
    """A line for the whole build and one for each step, with a column of times if any time is
    known.
    """
    total = outlook.expected_seconds
    took = f", ~{minutes(total)} to go" if total else ""
    yield f"{outlook.plan.recipe.name}  {counted(len(outlook.plan.steps), 'step')}, {outlook.cached} cached{took}"
    for step in outlook.plan.steps:
        why, seconds = outlook.to_run.get(step.name), outlook.expected.get(step.name)
        time = f"{'' if seconds is None else f'~{minutes(seconds)}':>7}  " if outlook.expected else ""
        state = "cached" if not why else "remote" if step.name in there else "to run"
        yield f"  {step.name:<10} {state:<7} {shown(step.what):<44} {time}{why or ''}".rstrip()
    if outlook.checks:
        number = len(outlook.checks)
        what = f"{counted(number, 'check')} in booted clones"
        seconds = outlook.expected_checking
        time = f"{'' if seconds is None else f'~{minutes(seconds)}':>7}  " if outlook.expected else ""
        yield f"  {'verify':<10} to run  {what:<44} {time}not verified yet".rstrip()


def _record(outlook: engine.Outlook, there: Collection[str] | None) -> BuildPlanned:
    steps = (
        PlannedStep(
            step=step.name,
            what=step.what,
            cached=step.name not in outlook.to_run,
            why=outlook.to_run.get(step.name),
            fingerprint=step.fingerprint,
            expected_seconds=rounded(outlook.expected.get(step.name)),
            remote=None if there is None else step.name in there,
        )
        for step in outlook.plan.steps
    )
    return BuildPlanned(
        recipe=outlook.plan.recipe.name,
        steps=tuple(steps),
        expected_seconds=rounded(outlook.expected_seconds),
        image=str(outlook.artifact.image) if outlook.artifact else None,
        warnings=tuple(outlook.plan.warnings),
        asked=tuple(outlook.asked),
        checks=tuple(call.name for call in outlook.checks),
    )
