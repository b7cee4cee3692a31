"""``imagebuild farm``: builds on several machines."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from imagebuild.build import engine
from imagebuild.build.scheduler import Outcome
from imagebuild.build.step_cache import Settings
from imagebuild.cli.build_results import exit_code, print_result, table
from imagebuild.cli.farm_options import chosen, chosen_ledger, ledger_option, require_libraries, scheduler_options
from imagebuild.cli.options import (
    Age,
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
from imagebuild.cli.output import echo, shown
from imagebuild.cli.progress_options import progress_options
from imagebuild.cli.project_options import config_option
from imagebuild.cli.remote_options import remote_option, remote_settings
from imagebuild.cli.report import reporter
from imagebuild.errors import UsageError
from imagebuild.events import ArtifactReady
from imagebuild.farm.order import PlannedBuild
from imagebuild.farm.settings import FarmPlace, GivenKeys, keys_of
from imagebuild.farm.shared import identity_of
from imagebuild.printable import counted
from imagebuild.progress import Reporter
from imagebuild.project.farm_address import checked
from imagebuild.project.load import load
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.store.artifact import MANIFEST, ArtifactFolder


@click.group()
def farm() -> None:
    """Build images on several machines.

    A scheduler knows the workers (`imagebuild worker`), a ledger knows the builds, and all machines
    share a store.
    """
    require_libraries()


@farm.command(
    epilog="""\b
Examples:
  imagebuild farm build debian-13 web --scheduler tls://farm.example.org:8786
  imagebuild farm build web --json | jq -r 'select(.event == "artifact").image'"""
)
@click.argument("recipes", nargs=-1, required=True, type=RecipeName(), metavar="IMAGE...")
@var_option
@click.option(
    "--image", "only", multiple=True, metavar="NAME", help="Build only this image of the recipes; repeatable."
)
@scheduler_options
@ledger_option
@click.option(
    "--tries", type=click.IntRange(min=1), metavar="N", help="Workers that may die of one build. [default: 3]"
)
@click.option(
    "--patience", type=Age(), default="1m", show_default=True, metavar="TIME",
    help="How long a build waits for a worker that can do it.",
)  # fmt: skip
@fresh_options
@click.option(
    "--verify/--no-verify", "verify", default=None,
    help="Verify images in booted clones, or not. [default: as the recipe says]",
)  # fmt: skip
@config_option
@output_option
@store_option
@remote_option
@json_option
@progress_options
@verbose_option
def build(
    recipes: tuple[str, ...],
    given: dict[str, str],
    only: tuple[str, ...],
    scheduler: str | None,
    ca: Path | None,
    certificate: Path | None,
    key: Path | None,
    ledger: str | None,
    tries: int | None,
    patience: int,
    if_changed: bool,
    max_age: int | None,
    verify: bool | None,
    config: Path | None,
    output: Path,
    store: Path | None,
    remote_store: str | None,
    as_json: bool,
    verbose: bool,
) -> None:
    """Build images on the workers of a farm.

    Each IMAGE is a recipe, as for `imagebuild build`. If this command or the scheduler is killed, the
    same command goes on with what is missing.
    """
    from imagebuild.farm.session import FarmSession

    if verbose:
        log_to_stderr()
    choice = chosen(config, scheduler, GivenKeys(ca, certificate, key))
    wanted = loaded(recipes, given, only)
    remote = remote_settings(remote_store, config, choice.project)
    settings = Settings(opened(store), output, if_changed=if_changed, max_age=max_age, verify=verify, remote=remote)
    section = choice.project.farm
    session = FarmSession(
        choice.place,
        chosen_ledger(choice.project, ledger, settings.store.root),
        choice.project.folder,
        tries or section.tries,
        float(patience),
        section.labels,
    )
    reports = reporter(as_json=as_json, quiet=False)
    done, planned = _planned(wanted, settings, given, reports)
    for one in done:
        print_result(reports, one.end)
    outcomes = [*done, *session.build(planned, settings, reports, lambda one: print_result(reports, one.end))]
    if not as_json and len(outcomes) > 1:
        table(outcomes)
    if failed := exit_code(outcomes):
        sys.exit(failed)


def _planned(
    recipes: Sequence[Recipe], settings: Settings, given: dict[str, str], reports: Reporter
) -> tuple[list[Outcome], list[PlannedBuild]]:
    """The images that are here already, and those that must be built."""
    done, planned = [], []
    for recipe in recipes:
        with reports.step(recipe.name, "plan") as progress:
            outlook = engine.planned(recipe, settings)
            progress.summary(f"{counted(len(outlook.plan.steps), 'step')}, {outlook.cached} cached here")
        if outlook.artifact is None or outlook.checks:
            planned.append(PlannedBuild(outlook, settings, given))
            continue
        if not outlook.is_latest:
            ArtifactFolder(settings.output, recipe.name).make_latest(outlook.artifact.version)
        found = outlook.artifact
        manifest = str(found.folder / MANIFEST)
        ready = ArtifactReady(
            unchanged=True, recipe=recipe.name, version=found.version, image=str(found.image), manifest=manifest
        )
        done.append(Outcome(recipe.name, 0, ready))
    return done, planned


@farm.command(
    epilog="""\b
Examples:
  imagebuild farm status --scheduler tls://farm.example.org:8786
  imagebuild farm status --json | jq 'select(.event == "worker") | {name, refused}'"""
)
@scheduler_options
@ledger_option
@click.option("--orders", type=click.IntRange(min=0), default=5, show_default=True, help="How many orders are shown.")
@config_option
@store_option
@remote_option
@json_option
def status(
    scheduler: str | None,
    ca: Path | None,
    certificate: Path | None,
    key: Path | None,
    ledger: str | None,
    orders: int,
    config: Path | None,
    store: Path | None,
    remote_store: str | None,
    as_json: bool,
) -> None:
    """Show the workers, the last orders, and each try of their builds. Changes nothing."""
    from imagebuild.cli.farm_status import show

    choice = chosen(config, scheduler, GivenKeys(ca, certificate, key))
    kept = opened(store)
    shared = identity_of(kept, remote_settings(remote_store, config, choice.project))
    address = chosen_ledger(choice.project, ledger, kept.root)
    show(choice.place, address, kept, shared, orders, as_json=as_json)


@farm.command(
    epilog="""\b
Example:
  imagebuild farm scheduler --address tls://10.0.0.1:8786"""
)
@click.option("--address", metavar="ADDRESS", help="Where to serve: tls://HOST:PORT. [default: farm.scheduler]")
@click.option("--ca", type=click.Path(path_type=Path, dir_okay=False), help="As for `farm build`.")
@click.option("--certificate", type=click.Path(path_type=Path, dir_okay=False), help="As for `farm build`.")
@click.option("--key", type=click.Path(path_type=Path, dir_okay=False), help="As for `farm build`.")
@click.option(
    "--dashboard", metavar="HOST:PORT",
    help="Serve dask's web page there, without a password; needs the Python package bokeh.",
)  # fmt: skip
@config_option
def scheduler(
    address: str | None, ca: Path | None, certificate: Path | None, key: Path | None, dashboard: str | None,
    config: Path | None,
) -> None:  # fmt: skip
    """Run the scheduler of a farm, until SIGTERM.

    It serves only with TLS, or on this machine only: whoever reaches it can run programs on all workers.
    """
    from imagebuild.farm import scheduling
    from imagebuild.farm.security import require_secure

    project = load(config)
    place = address or project.farm.scheduler
    if place is None:
        raise UsageError("no address is given", "give --address tls://HOST:PORT, or set farm.scheduler")
    try:
        checked(place)
    except ValueError as error:
        raise UsageError(f"--address: {error}") from error
    chosen_place = FarmPlace(place, keys_of(project, GivenKeys(ca, certificate, key)), project.farm.insecure)
    require_secure(place, chosen_place.keys, insecure=chosen_place.insecure)

    def ready(served: str, page: str) -> None:
        echo(f"scheduler at {shown(served)}" + (f", dashboard: {shown(page)}" if page else ""))

    scheduling.run(place, chosen_place.keys, dashboard, ready)
