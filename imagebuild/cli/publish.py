"""``imagebuild publish``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from imagebuild.cli.options import Age, RecipeName, log_to_stderr, output_option
from imagebuild.cli.output import shown
from imagebuild.cli.project_options import destination_option, destinations
from imagebuild.cli.publish_options import EXIT_CODES, ended, size, table, work_options
from imagebuild.cli.report import JsonReporter, reporter
from imagebuild.cli.target import BUILD_FIRST, target
from imagebuild.errors import UsageError
from imagebuild.progress import Reporter
from imagebuild.project.load import load
from imagebuild.project.model import Host
from imagebuild.project.select import Destination
from imagebuild.publish import names, planning, signed
from imagebuild.publish.canary import CanaryCheck, all_of, command_check
from imagebuild.publish.canary_boot import boot_check
from imagebuild.publish.opening import places
from imagebuild.publish.parallel import Work
from imagebuild.publish.places import TargetPlace
from imagebuild.publish.planning import PlannedTarget
from imagebuild.publish.publication import Publication, publication
from imagebuild.publish.publishing import Canaries, Publishing
from imagebuild.publish.release import Release, release
from imagebuild.publish.reports import ReleasePlanned, ReleasePublished
from imagebuild.publish.signed import Acceptance, acceptance
from imagebuild.store.artifact import Artifact


@click.command(
    epilog=f"""\b
{EXIT_CODES}
\b
Examples:
  imagebuild publish debian-13 --to all
  imagebuild publish debian-13 --to label=dc2 --canary 1 --canary-check ./check-template
  imagebuild publish artifacts/debian-13/2026-11-29.1 --to /srv/templates --as base
  imagebuild publish debian-13 --to all --dry-run
  imagebuild publish debian-13 --to all --json | jq -r 'select(.event == "published").targets[].status'"""
)
@click.argument("image", type=RecipeName(), metavar="IMAGE")
@destination_option(required=True, text="Publish to these")
@click.option("--as", "template", metavar="TEMPLATE", help="Name of the template. [default: the recipe's]")
@click.option("--unverified", is_flag=True, help="Publish an image that `verify` has not checked.")
@click.option("--despite-failure", is_flag=True, help="Publish an image that did not pass `verify`.")
@click.option(
    "--canary", metavar="N|WHERE", help="Publish to the first N targets, or to these of them, before the others."
)
@click.option(
    "--canary-check", metavar="COMMAND",
    help="Shell command that checks a canary; it gets IMAGEBUILD_HOST, IMAGEBUILD_URI, IMAGEBUILD_TEMPLATE and"
    " IMAGEBUILD_VERSION. Without --canary, the first target is the canary.",
)  # fmt: skip
@click.option("--canary-boot", is_flag=True, help="Check a canary by booting a machine of it there, which is removed.")
@click.option(
    "--canary-timeout", type=Age(), default="10m", show_default=True, metavar="TIME", help="Time limit of each check."
)
@click.option("--keep-failed-canary", is_flag=True, help="Do not roll back canaries when one of them is not good.")
@click.option(
    "--no-verify-stored", is_flag=True,
    help="Do not read back what is stored where this version is current already.",
)  # fmt: skip
@click.option("--repair", is_flag=True, help="Send a file that was altered at a target again, if nothing uses it.")
@click.option("--dry-run", is_flag=True, help="Show what each target has and what would be sent. Changes nothing.")
@output_option
@work_options
@click.pass_context
def publish(
    ctx: click.Context,
    image: str,
    to: tuple[str, ...],
    template: str | None,
    unverified: bool,
    despite_failure: bool,
    canary: str | None,
    canary_check: str | None,
    canary_boot: bool,
    canary_timeout: int,
    keep_failed_canary: bool,
    no_verify_stored: bool,
    repair: bool,
    dry_run: bool,
    output: Path,
    jobs: int,
    config: Path | None,
    as_json: bool,
    verbose: bool,
) -> None:
    """Publish IMAGE as the current version of a template, to several targets in parallel.

    IMAGE is a recipe (its latest artifact) or the folder of an artifact. Each target is switched
    only after its copy has been read back and has the right digest; older versions stay. A target
    that fails keeps its current version, and stops no other one; run the command again to complete
    what is missing. If the project names keys (`trust.keys` in imagebuild.yaml), one of them must have
    signed IMAGE (`imagebuild attest`), and no version replaces a newer one; no option overrides that.
    """
    if verbose:
        log_to_stderr()
    if canary is None and (canary_boot or canary_check is not None):
        canary = "1"
    if canary is None and keep_failed_canary:
        raise UsageError("--keep-failed-canary needs --canary")
    if template is not None:
        names.checked(template)
    selected = destinations(to, config)
    where = places(selected)
    first = None if canary is None else _canaries(canary, where, config)
    if canary_boot:
        _require_hosts(first or (), selected)
    reports = reporter(as_json=as_json, quiet=False, live_only=dry_run)
    work = Work(reports, jobs)
    check = all_of([*_boot(canary_boot, canary_timeout, work), *_command(canary_check, canary_timeout)])
    accepted = acceptance(load(config))
    wanted = _publication(image, output, template or "", reports, accepted)
    _require_verdict(wanted.release, unverified=unverified, despite_failure=despite_failure)
    rising = accepted is not None
    wanted = Publication(wanted.release, wanted.version, not no_verify_stored, repair, rising)
    if dry_run:
        _plan(ctx, work, where, wanted)
        return
    _publish(ctx, work, where, wanted, None if first is None else Canaries(first, check, keep_failed_canary))


def _boot(wanted: bool, limit: float, work: Work) -> Iterator[CanaryCheck]:
    """What ``--canary-boot`` asks for."""
    if wanted:
        yield boot_check(limit, work.stop)


def _command(command: str | None, limit: float) -> Iterator[CanaryCheck]:
    """What ``--canary-check`` asks for."""
    if command is not None:
        yield command_check(command, limit)


def _canaries(word: str, where: Sequence[TargetPlace], config: Path | None) -> list[TargetPlace]:
    """The places that ``--canary`` names."""
    if word.isdecimal() and word.isascii():
        if not int(word):
            raise UsageError("--canary 0: at least one target must be the canary", "leave the option out")
        return list(where[: int(word)])
    named = {one.name for one in destinations([word], config, "--canary")}
    found = [place for place in where if place.name in named]
    if not found:
        raise UsageError(f"--canary {word}: none of these is among the targets of --to")
    return found


def _require_hosts(canaries: Sequence[TargetPlace], selected: Sequence[Destination]) -> None:
    """Refuse canaries where no machine can be booted, before anything is published there."""
    storage = {one.name for one in selected if not isinstance(one.entry, Host)}
    if found := [one.name for one in canaries if one.name in storage]:
        raise UsageError(
            f"--canary-boot: the canary {found[0]} is not a libvirt host, so nothing can be booted there",
            "name a libvirt host with --canary, or check it with --canary-check",
        )


def _publication(
    image: str, output: Path, template: str, reports: Reporter, accepted: Acceptance | None
) -> Publication:
    artifact = target(image, output, finished=True)
    if not isinstance(artifact, Artifact):
        raise UsageError(
            f"{image} is an image file without a manifest, so there is nothing to check copies of it against",
            f"name a recipe, or give the folder of a finished build; {BUILD_FIRST}",
        )
    with reports.step(artifact.recipe, "read") as step:
        step.update("reading the artifact")
        found = release(artifact, template)
        if accepted is not None:
            step.update("checking the signature")
            found = signed.checked(found, artifact, accepted)
        step.summary(f"version {found.version}, {size(found.size)}")
    return publication(found)


def _require_verdict(wanted: Release, *, unverified: bool, despite_failure: bool) -> None:
    what = f"{wanted.template} {wanted.version}"
    if wanted.verdict == "failed" and not despite_failure:
        raise UsageError(
            f"{what} did not pass its verification", "see verify.json in its folder; --despite-failure publishes it"
        )
    if wanted.verdict not in ("passed", "failed") and not unverified:
        raise UsageError(f"{what} has not been verified", "run `imagebuild verify`; --unverified publishes it as it is")


def _publish(
    ctx: click.Context, work: Work, where: Sequence[TargetPlace], wanted: Publication, canaries: Canaries | None
) -> None:
    done = Publishing(work, wanted).go(where, canaries)
    reports, new = work.reporter, wanted.release
    if isinstance(reports, JsonReporter):
        reports.emit(ReleasePublished(template=new.template, version=new.version, targets=tuple(done)))
        ended(ctx, work, done, ())
    ended(ctx, work, done, ["", f"{new.template} {new.version}, {size(new.size)}", *table(done)])


def _plan(ctx: click.Context, work: Work, where: Sequence[TargetPlace], wanted: Publication) -> None:
    done = planning.plan(work, where, wanted)
    reports, new = work.reporter, wanted.release
    if isinstance(reports, JsonReporter):
        reports.emit(ReleasePlanned(template=new.template, version=new.version, size=new.size, targets=tuple(done)))
        ended(ctx, work, done, ())
    ended(ctx, work, done, _planned_lines(done, new))


def _planned_lines(done: Sequence[PlannedTarget], new: Release) -> Iterator[str]:
    yield f"{new.template} {new.version}, {size(new.size)}; nothing was changed"
    width = min(40, max(len(shown(one.target)) for one in done))
    for one in done:
        if not one.good:
            text = f"{one.status}: {one.message}"
        elif not one.switches:
            text = "current already" + (f", {size(one.sends)} missing" if one.sends else "; would be read back")
        else:
            sent = f"send up to {size(one.sends)}" if one.sends else "send nothing"
            text = f"would {sent} and switch from {one.version or 'nothing'}"
            text += f"; has {len(one.versions)} version{'s' * (len(one.versions) != 1)}"
        yield f"{shown(one.target):<{width}}  {text}"
