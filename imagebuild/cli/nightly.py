"""``imagebuild nightly``."""

from __future__ import annotations

from pathlib import Path

import click

from imagebuild.build.step_cache import Settings
from imagebuild.cli.farm_options import require_libraries
from imagebuild.cli.nightly_table import summary
from imagebuild.cli.options import (
    RecipeName,
    json_option,
    log_to_stderr,
    opened,
    output_option,
    store_option,
    verbose_option,
)
from imagebuild.cli.output import echo, echo_lines
from imagebuild.cli.progress_options import progress_options
from imagebuild.cli.project_options import config_option
from imagebuild.cli.remote_options import remote_option, remote_settings
from imagebuild.cli.report import JsonReporter, reporter
from imagebuild.errors import Interrupted, UsageError
from imagebuild.farm.settings import GivenKeys, ledger_of, place_of
from imagebuild.nightly import selecting, stages
from imagebuild.nightly.building import Building, NightlyBuilds, in_processes
from imagebuild.nightly.image_run import Surroundings
from imagebuild.nightly.journal import NightlyJournal
from imagebuild.nightly.running import NightlyRun
from imagebuild.nightly.stages import Publisher
from imagebuild.project.load import load
from imagebuild.project.model import Project
from imagebuild.store.store import Store

_PATIENCE = 600.0
"""Seconds that an image waits for a worker of the farm that can build it."""


@click.command(
    epilog="""\b
Exit codes: 0 all went well, also if nothing has changed; 1 something failed, and the summary says what;
2 invalid usage; 3 this host cannot do it, or another nightly run is at work; 130 interrupted.
\b
Examples:
  imagebuild nightly
  imagebuild nightly debian-13 web
  imagebuild nightly --accept web            its differences are intended: publish it
  imagebuild nightly --json | jq 'select(.event == "nightly").failed'"""
)
@click.argument("images", nargs=-1, type=RecipeName(), metavar="[IMAGE]...")
@click.option(
    "--accept", multiple=True, metavar="IMAGE",
    help="Accept the latest version of IMAGE, which gates have refused; repeatable.",
)  # fmt: skip
@config_option
@output_option
@store_option
@remote_option
@json_option
@progress_options
@verbose_option
@click.pass_context
def nightly(
    ctx: click.Context,
    images: tuple[str, ...],
    accept: tuple[str, ...],
    config: Path | None,
    output: Path,
    store: Path | None,
    remote_store: str | None,
    as_json: bool,
    verbose: bool,
) -> None:
    """Build what has changed, compare it with the last good version, and publish what passes the gates.

    The section `nightly` of imagebuild.yaml says which images, and what is done with them. IMAGE is one
    of them, or a recipe; without IMAGE, all are built. A failure stops no other image. A run that was
    killed is completed by the next one.
    """
    if verbose:
        log_to_stderr()
    project = load(config)
    selected = selecting.selected(project, images)
    if unknown := [name for name in accept if name not in {one.name for one in selected.wanted}]:
        raise UsageError(f"--accept {unknown[0]}: it is not among the images of this run")
    kept = opened(store)
    reports = reporter(as_json=as_json, quiet=False)
    sign, keys = stages.signing(project)
    around = Surroundings(
        output=output,
        journal=NightlyJournal(output),
        publisher=Publisher(project, reports),
        reports=project.folder / project.nightly.reports,
        sign=sign,
        keys=keys,
        accept=frozenset(accept),
    )
    remote = remote_settings(remote_store, config, project)
    asked = project.nightly
    settings = Settings(kept, output, if_changed=asked.if_changed, max_age=asked.max_age, remote=remote)
    shown = (lambda line: echo(line, err=True)) if verbose else None
    builds = NightlyBuilds(settings, reports, project.nightly.jobs, shown)
    done = NightlyRun(selected, around, builds, _building(project, kept)).go()
    if isinstance(reports, JsonReporter):
        reports.emit(done)
    else:
        echo_lines(["", *summary(done)])
    if done.outcome == "interrupted":
        raise Interrupted("interrupted; the next run goes on from there")
    ctx.exit(done.exit_code)


def _building(project: Project, store: Store) -> Building:
    """How images are built: on this host, or on the farm of the project."""
    if not project.farm.nightly:
        return in_processes
    require_libraries()
    from imagebuild.farm.session import FarmSession
    from imagebuild.nightly.on_farm import on_farm

    place = place_of(project, None, GivenKeys())
    ledger = ledger_of(project, None, store.root)
    section = project.farm
    return on_farm(FarmSession(place, ledger, project.folder, section.tries, _PATIENCE, section.labels))
