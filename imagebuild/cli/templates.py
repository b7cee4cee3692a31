"""``imagebuild templates``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from imagebuild.cli.options import log_to_stderr
from imagebuild.cli.output import shown
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
from imagebuild.project.load import load
from imagebuild.publish.overview import ListedTarget, ListedTemplate, ListedVersion, overview
from imagebuild.publish.parallel import Work
from imagebuild.publish.reports import TemplatesListed
from imagebuild.publish.signed import acceptance

_UNLESS_USED = "`imagebuild prune` removes it unless something uses it"
_HEAD = ("TARGET", "TEMPLATE", "VERSION", "STATE", "PUBLISHED", "SIZE", "VERDICT", "")


@click.command(
    epilog=f"""\b
{EXIT_CODES}
A file that differs from its record is exit code 1.
\b
Examples:
  imagebuild templates
  imagebuild templates debian-13 --on label=dc2 --check
  imagebuild templates --json | jq '.targets[] | {{target, templates: [.templates[] | {{template, current}}]}}'"""
)
@click.argument("templates", nargs=-1, metavar="[TEMPLATE]...")
@on_option
@click.option(
    "--check", is_flag=True,
    help="Read back all files, compare their digests with the records, and check signatures if the project names keys.",
)  # fmt: skip
@work_options
@click.pass_context
def templates(
    ctx: click.Context,
    templates: tuple[str, ...],
    on: tuple[str, ...],
    check: bool,
    jobs: int,
    config: Path | None,
    as_json: bool,
    verbose: bool,
) -> None:
    """Show which versions of templates are where, which are current, and what was altered by hand.

    Changes nothing.
    """
    if verbose:
        log_to_stderr()
    wanted = template_names(templates)
    reports = reporter(as_json=as_json, quiet=False, live_only=True)
    work = Work(reports, jobs)
    accepted = acceptance(load(config)) if check else None
    done = overview(work, places_on(on, config), wanted, check=check, accepted=accepted)
    files = [left.file for one in done for left in one.leftovers]
    error = unknown_templates(done, wanted, (name for one in done for name in one.known), files)
    drifted = int(any(one.drifted for one in done))
    if isinstance(reports, JsonReporter):
        reports.emit(TemplatesListed(checked=check, targets=tuple(done)))
        ended(ctx, work, done, (), drifted, error)
    ended(ctx, work, done, _lines(done), drifted, error)


def _lines(done: Sequence[ListedTarget]) -> Iterator[str]:
    rows = [row for one in done for template in one.templates for row in _rows(one.target, template)]
    if rows:
        rows = [_HEAD, *(tuple(map(shown, row)) for row in rows)]
        widths = [max(len(row[at]) for row in rows) for at in range(len(_HEAD))]
        for row in rows:
            yield "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
    for one in done:
        if not one.good:
            yield f"{one.target}: {one.status} at {one.phase}: {one.message}"
            if one.hint:
                yield f"    {one.hint}"
        elif not one.templates:
            yield f"{one.target}: {one.message or 'no templates'}"
        for template in one.templates:
            if template.hint:
                yield f"{one.target}: {template.template}: {template.hint}"
        for left in one.leftovers:
            yield f"{one.target}: left over: {left.file}, {size(left.size)}; {_UNLESS_USED}"


def _rows(target: str, one: ListedTemplate) -> Iterator[tuple[str, ...]]:
    if one.problem:
        yield target, one.template, "", "", "", "", "", one.problem
    elif one.rolled_back:
        yield target, one.template, "", "", one.rolled_back, "", "", f"rolled back; {one.highest} was current before"
    for version in reversed(one.versions):
        state = "current" if version.current else "previous" if version.previous else ""
        taken = size(version.size)
        yield target, one.template, version.version, state, version.published, taken, version.verdict, _drift(version)


def _drift(version: ListedVersion) -> str:
    found = [f"{one.drift}: {one.file}" for one in version.drift]
    return "; ".join([*found, *([version.untrusted] if version.untrusted else [])])
