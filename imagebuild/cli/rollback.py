"""``imagebuild rollback``."""

from __future__ import annotations

from pathlib import Path

import click

from imagebuild.cli.options import log_to_stderr
from imagebuild.cli.publish_options import (
    EXIT_CODES,
    ended,
    on_option,
    places_on,
    table,
    unknown_templates,
    work_options,
)
from imagebuild.cli.report import JsonReporter, reporter
from imagebuild.project.load import load
from imagebuild.publish import names
from imagebuild.publish.parallel import Work
from imagebuild.publish.reports import TemplateRolledBack
from imagebuild.publish.rollback import roll_back
from imagebuild.publish.signed import acceptance


@click.command(
    epilog=f"""\b
{EXIT_CODES}
\b
Examples:
  imagebuild rollback debian-13
  imagebuild rollback debian-13 --on kvm1,kvm2
  imagebuild rollback debian-13 --to 2026-11-27.1"""
)
@click.argument("template")
@on_option
@click.option(
    "--to", "version", metavar="VERSION", default="", help="Version to go back to. [default: the previous one]"
)
@work_options
@click.pass_context
def rollback(
    ctx: click.Context,
    template: str,
    on: tuple[str, ...],
    version: str,
    jobs: int,
    config: Path | None,
    as_json: bool,
    verbose: bool,
) -> None:
    """Make an earlier version of TEMPLATE current again, on each target that has the template.

    The files of that version are read back first. Running machines are not affected. A second
    rollback without --to returns to where the first one began. If the project names keys, the
    version must be what one of them signed. That somebody went back is recorded.
    """
    if verbose:
        log_to_stderr()
    names.checked(template)
    if version:
        names.checked(version, "version")
    reports = reporter(as_json=as_json, quiet=False)
    work = Work(reports, jobs)
    done = roll_back(work, places_on(on, config), template, version, acceptance(load(config)))
    there = any(one.good and one.status != "absent" for one in done)
    error = unknown_templates(done, (template,), (template,) if there else ())
    if isinstance(reports, JsonReporter):
        reports.emit(TemplateRolledBack(template=template, to=version, targets=tuple(done)))
        ended(ctx, work, done, (), error=error)
    ended(ctx, work, done, ["", *table(done)], error=error)
