"""``imagebuild verify``: boots clones of an image and checks them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import click
from pydantic import ValidationError

from imagebuild.build import checks, verification
from imagebuild.build.engine import clear_dead_runs, lock_name
from imagebuild.cli.options import (
    Age,
    RecipeName,
    json_option,
    loaded,
    log_to_stderr,
    opened,
    output_option,
    store_option,
    verbose_option,
)
from imagebuild.cli.output import echo
from imagebuild.cli.progress_options import progress_options
from imagebuild.cli.report import JsonReporter, reporter
from imagebuild.cli.subject_options import MachineChoice, machine_options, named_subject
from imagebuild.errors import UsageError
from imagebuild.events import Verified
from imagebuild.image.disk_image import Format
from imagebuild.schema.findings import findings
from imagebuild.verify import registry
from imagebuild.verify.check import CheckCall
from imagebuild.verify.subject import Firmware, Subject
from imagebuild.verify.verification import Verification, data


@click.command(
    epilog="""\b
Exit codes: 0 all checks passed, 1 a check failed, 2 invalid usage, 3 host requirements not met.
\b
Examples:
  imagebuild verify debian-13
  imagebuild verify artifacts/debian-13/2026-11-29.1
  imagebuild verify cloud.qcow2 --firmware uefi --report results
  imagebuild verify cloud.qcow2 --check swap-off --check 'packages={"installed": ["vim"]}'
  imagebuild verify cloud.qcow2 --offline
  imagebuild verify debian-13 --json | jq -r 'select(.event == "verified").result.results[].name'"""
)
@click.argument("image", type=RecipeName(), metavar="IMAGE")
@click.option("--recipe", type=RecipeName(), help="Run the checks of this recipe instead of the image's own.")
@click.option(
    "--check", "wanted", multiple=True, metavar="NAME[=JSON]",
    help="Run this check, with these parameters, and no others; repeatable. `imagebuild checks list` lists them.",
)  # fmt: skip
@click.option("--without", multiple=True, metavar="NAME", help="Do not run this check; repeatable.")
@click.option(
    "--house-rules", is_flag=True,
    help="For an image without a manifest: also check what the shipped recipes promise.",
)  # fmt: skip
@click.option(
    "--offline", is_flag=True, help="Do not boot: only look for identities on the disk, for hosts that cannot boot it."
)
@machine_options
@click.option("--timeout", type=Age(), metavar="TIME", help="Time limit of each boot. [default: 5m; 20m when emulated]")
@click.option(
    "--report", type=click.Path(path_type=Path, file_okay=False),
    help="Folder for verify.json, verify.xml (JUnit) and the consoles. [default: for an artifact, its own]",
)  # fmt: skip
@output_option
@store_option
@json_option
@progress_options
@verbose_option
@click.pass_context
def verify(
    ctx: click.Context,
    image: str,
    recipe: str | None,
    wanted: tuple[str, ...],
    without: tuple[str, ...],
    house_rules: bool,
    offline: bool,
    given: Format | None,
    firmware: Firmware | None,
    memory: int,
    machine: Path | None,
    timeout: int | None,
    report: Path | None,
    output: Path,
    store: Path | None,
    as_json: bool,
    verbose: bool,
) -> None:
    """Boot two throwaway clones of IMAGE, check them, and compare their identities.

    IMAGE is a recipe (its latest artifact), the folder of an artifact, or an image file. The image
    is never written. An artifact's manifest records the verdict, unless only some of its checks
    were run.
    """
    if verbose:
        log_to_stderr()
    chosen = _chosen(recipe, wanted)
    choice = MachineChoice(given, firmware, memory, machine)
    named = named_subject(image, output, choice, chosen, checks.general(house_rules=house_rules))
    subject, left = _without(named.subject, without)
    kept = opened(store)
    clear_dead_runs(kept)
    reports = reporter(as_json=as_json, quiet=False)
    recorded = None if chosen is not None or left or offline else named.artifact
    name = None if recorded is None else lock_name(recorded.folder.parents[1], recorded.recipe)
    lock = nullcontext() if name is None else kept.locked(name, lambda _: None)
    with (
        lock,
        verification.verified(subject, kept, reports, label=named.label, limit=timeout, read_only=offline) as done,
    ):
        if recorded is not None:
            verification.record(recorded, done)
        if report is not None:
            verification.report(report, done)
    if isinstance(reports, JsonReporter):
        result = done.verification
        reports.emit(Verified(image=str(image), verdict=result.verdict, result=data(result)))
    else:
        _show(done.verification)
    ctx.exit(1 if done.verification.failed else 0)


def _chosen(recipe: str | None, wanted: tuple[str, ...]) -> list[CheckCall] | None:
    """The checks that the options ask for, None if they do not."""
    if recipe is not None and wanted:
        raise UsageError("--recipe and --check are mutually exclusive")
    if recipe is not None:
        first, *others = loaded([recipe], {})
        if others:
            raise UsageError(f"--recipe {recipe}: it yields several images", f"name one of them, such as {first.name}")
        return checks.of(first)
    return [_call(text) for text in wanted] or None


def _call(text: str) -> CheckCall:
    name, equals, params = text.partition("=")
    hint = f"`imagebuild checks show {name}` lists its parameters"
    try:
        given = json.loads(params) if equals else {}
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"--check {name}: the text after the equals sign is not a JSON object: {error}", hint
        ) from error
    if not isinstance(given, dict):
        raise UsageError(f"--check {name}: the text after the equals sign is not a JSON object", hint)
    try:
        return registry.call(name, given)
    except ValidationError as error:
        first = next(iter(findings(error, registry.get(name).params)))
        where = "".join(f"{part}: " for part in first.route)
        raise UsageError(f"--check {name}: {where}{first.message}", hint) from error


def _without(subject: Subject, names: Sequence[str]) -> tuple[Subject, bool]:
    """The subject without some of its checks, and whether there are any."""
    for name in names:
        registry.get(name)
    return replace(subject, checks=[call for call in subject.checks if call.name not in names]), bool(names)


def _show(done: Verification) -> None:
    """Print a line for each check, with its problems below."""
    width = max(len(one.name) for one in done.results)
    for one in done.results:
        reason = f"  {one.reason}" if one.reason else ""
        seconds = f"  {one.seconds:.0f} s" if one.seconds >= 1 else ""
        echo(f"  {one.name:<{width}}  {one.status}{reason}{seconds}")
        for problem in one.problems:
            echo(f"      {problem}")
    for line in done.console:
        echo(f"      | {line}")
    for text in done.replaced:
        echo(f"  note: {text}")
    echo(f"{done.image}: {done.verdict}")
