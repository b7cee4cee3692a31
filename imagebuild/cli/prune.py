"""``imagebuild prune``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from imagebuild.cli.options import log_to_stderr
from imagebuild.cli.publish_options import (
    EXIT_CODES,
    ended,
    on_option,
    places_on,
    size,
    template_names,
    unknown_templates,
    work_options,
)
from imagebuild.cli.report import JsonReporter, reporter
from imagebuild.publish import pruning
from imagebuild.publish.parallel import Work
from imagebuild.publish.pruning import PruneResult
from imagebuild.publish.reports import TemplatesPruned


@click.command(
    epilog=f"""\b
{EXIT_CODES}
\b
Examples:
  imagebuild prune --keep 3
  imagebuild prune debian-13 --keep 2 --on label=dc2 --yes
  imagebuild prune --keep 2 --json | jq '.targets[].removed'"""
)
@click.argument("templates", nargs=-1, metavar="[TEMPLATE]...")
@click.option(
    "--keep", type=click.IntRange(min=1), required=True, metavar="N",
    help="Keep the N versions that were published last. With 1, the previous version goes too.",
)  # fmt: skip
@on_option
@click.option("--yes", is_flag=True, help="Remove them. Without this, only show what would be removed.")
@work_options
@click.pass_context
def prune(
    ctx: click.Context,
    templates: tuple[str, ...],
    keep: int,
    on: tuple[str, ...],
    yes: bool,
    jobs: int,
    config: Path | None,
    as_json: bool,
    verbose: bool,
) -> None:
    """Show which old versions of templates can be removed, and remove them with --yes.

    Always kept: the current version, the previous one unless --keep is 1, and every version that a
    volume, a machine or a snapshot of the target uses. Files that no record names, which a killed
    publisher leaves, are removed too.
    """
    if verbose:
        log_to_stderr()
    wanted = template_names(templates)
    reports = reporter(as_json=as_json, quiet=False, live_only=True)
    work = Work(reports, jobs)
    done = pruning.prune(work, places_on(on, config), wanted, keep, dry_run=not yes)
    error = unknown_templates(done, wanted, *_found(done))
    if isinstance(reports, JsonReporter):
        reports.emit(TemplatesPruned(dry_run=not yes, keep=keep, targets=tuple(done)))
        ended(ctx, work, done, (), error=error)
    ended(ctx, work, done, _lines(done, done_already=yes), error=error)


def _found(done: Sequence[PruneResult]) -> tuple[set[str], list[str]]:
    """The templates that are anywhere, and files that belong to templates without a record."""
    files = [file for one in done for removal in one.removed for file in removal.files]
    return {name for one in done for name in (*one.known, *(kept.template for kept in one.kept))}, files


def _lines(done: Sequence[PruneResult], *, done_already: bool) -> Iterator[str]:
    for one in done:
        if not one.good:
            yield f"{one.target}: {one.status} at {one.phase}: {one.message}"
            if one.hint:
                yield f"    {one.hint}"
        for removal in one.removed:
            what = removal.version or f"left over: {', '.join(removal.files)}"
            verb = "removed" if done_already else "would remove"
            yield f"{one.target}: {verb} {removal.template} {what}, {size(removal.size)}"
        for kept in one.kept:
            yield f"{one.target}: kept {' '.join(filter(None, (kept.template, kept.version)))}: {kept.why}"
    if all(one.status == "absent" for one in done):
        return  # the error says so
    freed = sum(one.freed for one in done)
    if done_already:
        yield f"{size(freed)} freed"
    elif freed:
        yield f"{size(freed)} would be freed; add --yes to remove them"
    elif any(one.good for one in done):
        yield "nothing to remove"
