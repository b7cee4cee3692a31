"""``imagebuild scrub`` and ``imagebuild audit``: operations on existing images."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import click
from click.shell_completion import CompletionItem
from pydantic import ValidationError

from imagebuild import scrub as scrubbing
from imagebuild.cli.image_argument import ImageName, found
from imagebuild.cli.keys import key_option
from imagebuild.cli.options import (
    RecipeName,
    json_option,
    log_to_stderr,
    opened,
    output_option,
    store_option,
    verbose_option,
)
from imagebuild.cli.output import echo, echo_text
from imagebuild.cli.progress_options import progress_options
from imagebuild.cli.report import JsonReporter, reporter
from imagebuild.customise import OperationCall, registry
from imagebuild.customise.audit import KINDS
from imagebuild.errors import UsageError
from imagebuild.events import Audited, Scrubbed
from imagebuild.guest import Key
from imagebuild.host import accelerator
from imagebuild.image.disk_image import Format
from imagebuild.printable import counted
from imagebuild.recipe import host_inputs
from imagebuild.recipe.load import load
from imagebuild.recipe.secrets import RealSecrets
from imagebuild.schema.customised import CustomiseResult
from imagebuild.schema.document import Mark, dotted
from imagebuild.schema.findings import findings
from imagebuild.scrub import Way, audit_report
from imagebuild.store.runs import new_run
from imagebuild.store.store import Store

_IMAGES = click.argument(
    "images", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="IMAGE..."
)
_FORMAT = click.option(
    "--format",
    "given",
    type=click.Choice(["raw", "qcow2"]),
    help="Format of the images. [default: detected from their first bytes]",
)


class OperationName(click.ParamType[str]):
    """An operation, with parameters as JSON after an equals sign; completes the names."""

    name = "operation"

    def shell_complete(self, _ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [
            CompletionItem(name, help=registry.get(name).summary)
            for name in registry.names()
            if name.startswith(incomplete)
        ]


@click.command(
    epilog="""\b
Exit codes: 0 success, 1 not everything could be done (or nothing was), 2 invalid usage, 3 host requirements not met.
\b
Examples:
  imagebuild scrub template.qcow2
  imagebuild scrub template.qcow2 --dry-run
  imagebuild scrub cloud.qcow2 --output template.qcow2 --without reset-cloud-init
  imagebuild scrub foreign.qcow2 --recipe debian-13
  imagebuild scrub encrypted.qcow2 --key /dev/vda3:file:passphrase
  imagebuild scrub system.raw data.raw --operation reset-machine-id --operation 'reset-hostname={"hostname": "web"}'"""
)
@_IMAGES
@_FORMAT
@click.option("--dry-run", is_flag=True, help="Show what would change, with diffs of text files. Changes nothing.")
@click.option(
    "--in-place",
    is_flag=True,
    help="Write the result into the existing image file, which keeps its inode, hard links and open handles.",
)
@click.option(
    "--output", type=click.Path(path_type=Path), help="Write the result to this file and leave IMAGE unchanged."
)
@click.option(
    "--operation", "wanted", multiple=True, type=OperationName(), metavar="NAME[=JSON]",
    help="Apply this operation, with these parameters, instead of the default set; repeatable.",
)  # fmt: skip
@click.option("--recipe", type=RecipeName(), help="Apply the operations of this recipe instead of the default set.")
@click.option(
    "--house-rules", is_flag=True,
    help="Also apply the operations that the shipped recipes add to the default set:"
    f" {', '.join(registry.HOUSE_RULES)}.",
)  # fmt: skip
@click.option(
    "--without", multiple=True, type=OperationName(), metavar="NAME", help="Do not apply this operation; repeatable."
)
@key_option
@click.option("--network", is_flag=True, help="Allow operations to download what they need.")
@store_option
@json_option
@progress_options
@verbose_option
@click.pass_context
def scrub(
    ctx: click.Context,
    images: tuple[Path, ...],
    given: Format | None,
    dry_run: bool,
    in_place: bool,
    output: Path | None,
    wanted: tuple[str, ...],
    recipe: str | None,
    house_rules: bool,
    without: tuple[str, ...],
    keys: tuple[Key, ...],
    network: bool,
    store: Path | None,
    as_json: bool,
    verbose: bool,
) -> None:
    """Turn IMAGE into a template: remove machine-specific data, offline.

    The default set of operations removes identities, secrets and traces, and changes no setting of
    the guest. Settings that only the shipped recipes need, such as SELinux and the firewall
    switched off, are house rules: apply them with --house-rules.

    Further IMAGEs are further disks of the same guest, in their order. The guest must be shut down.
    A failure or an interruption leaves every image unchanged. `imagebuild operations list` lists
    the operations. Files that an operation cannot process are listed, and the rest is done.
    """
    if verbose:
        log_to_stderr()
    way = _way(dry_run=dry_run, in_place=in_place, output=output)
    operations = _operations(wanted, recipe, without, house_rules=house_rules)
    disks = scrubbing.recognised(images, given)
    reports = reporter(as_json=as_json, quiet=False)
    kept = opened(store)
    with (
        _scratch(kept) if dry_run else nullcontext() as scratch,
        reports.step(images[0].name, "dry run" if dry_run else "scrub") as progress,
    ):
        result = scrubbing.scrub(
            disks,
            operations,
            accel=_accelerator(kept),
            way=way,
            output=output,
            scratch=scratch,
            network=network,
            progress=progress,
            keys=keys,
        )
        left = f", {len(result.failed)} not done" if result.failed else ""
        progress.summary(
            f"{counted(len(result.operations), 'operation')}, {counted(result.changed_paths, 'file')} changed{left}"
        )
    if isinstance(reports, JsonReporter):
        image = str(output or images[0])
        reports.emit(Scrubbed(image=image, dry_run=dry_run, operations=result.operations))
    else:
        _show(result, in_full=dry_run)
    ctx.exit(1 if result.failed else 0)


@click.command(
    epilog="""\b
Exit codes: 0 nothing found, 1 something found (or the audit failed), 2 invalid usage, 3 host requirements not met.
\b
Examples:
  imagebuild audit debian-13
  imagebuild audit template.qcow2
  imagebuild audit template.qcow2 --ignore clean-logs
  imagebuild audit template.qcow2 --json | jq -r 'select(.event == "audited").findings[].path'"""
)
@click.argument("image", type=ImageName())
@click.argument("further", nargs=-1, type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="[DISK...]")
@_FORMAT
@click.option(
    "--ignore", multiple=True, metavar="NAME",
    help=f"Ignore the findings of this operation, or of {', '.join(KINDS)}; repeatable.",
)  # fmt: skip
@key_option
@output_option
@store_option
@json_option
@progress_options
@verbose_option
@click.pass_context
def audit(
    ctx: click.Context,
    image: str,
    further: tuple[Path, ...],
    given: Format | None,
    ignore: tuple[str, ...],
    keys: tuple[Key, ...],
    output: Path,
    store: Path | None,
    as_json: bool,
    verbose: bool,
) -> None:
    """Report which identities and secrets IMAGE still contains, with the path of each. Changes
    nothing.

    IMAGE is an image file, the folder of an artifact, or a recipe: its latest artifact. DISKs are
    further disks of the same guest, in their order.
    """
    if verbose:
        log_to_stderr()
    known = {*registry.names(), *KINDS}
    for name in ignore:
        if name not in known:
            raise UsageError(
                f"--ignore {name}: there is no such operation or kind of finding",
                "`imagebuild operations list` lists them",
            )
    file = Path(image)
    images = (file, *further) if file.is_file() else found(image, output, further, from_disk=True).images
    reports = reporter(as_json=as_json, quiet=False)
    kept = opened(store)
    with _scratch(kept) as scratch, reports.step(images[0].name, "audit") as progress:
        disks = scrubbing.recognised(images, given)
        result = scrubbing.audit(disks, accel=_accelerator(kept), scratch=scratch, progress=progress, keys=keys)
        carriers = audit_report.report(result, ignore)
        carried = sum(1 for one in carriers if one.kind != "note")
        progress.summary(counted(carried, "finding") if carried else "nothing found")
    if isinstance(reports, JsonReporter):
        reports.emit(Audited(image=str(images[0]), findings=carriers, carried=carried))
    else:
        for one in carriers:
            echo(f"{one.kind:<9} {one.path}  ({one.operation}: {one.what})")
    ctx.exit(1 if carried else 0)


def _way(*, dry_run: bool, in_place: bool, output: Path | None) -> Way:
    if dry_run + in_place + (output is not None) > 1:
        raise UsageError("--dry-run, --in-place and --output are mutually exclusive")
    return "dry-run" if dry_run else "in-place" if in_place else "swap"


def _operations(
    wanted: tuple[str, ...], recipe: str | None, without: tuple[str, ...], *, house_rules: bool
) -> list[OperationCall]:
    if recipe is not None and wanted:
        raise UsageError("--recipe and --operation are mutually exclusive")
    if recipe is not None and house_rules:
        raise UsageError("--recipe and --house-rules are mutually exclusive", "the recipe lists its operations")
    if recipe is not None:
        calls = _of_recipe(recipe)
    else:
        calls = [_call(one) for one in wanted] or [registry.call(name) for name in registry.TEMPLATE]
        calls += [registry.call(name) for name in registry.HOUSE_RULES if house_rules and name not in _names(calls)]
    for name in without:
        if name not in _names(calls):
            _known(name)
            raise UsageError(f"--without {name}: the operation would not be applied anyway")
    return [call for call in calls if call.name not in without]


def _names(calls: list[OperationCall]) -> set[str]:
    return {call.name for call in calls}


def _of_recipe(name: str) -> list[OperationCall]:
    recipe = load(name)
    if not recipe.operations:
        raise UsageError(f"--recipe {name}: the recipe has no operations")
    return list(host_inputs.opened(recipe, host_inputs.planned(recipe), RealSecrets()))


def _known(name: str) -> None:
    """Raise UsageError if there is no such operation."""
    if name not in registry.names():
        from imagebuild.migration.words import refusal

        raise refusal(name)


def _call(text: str) -> OperationCall:
    name, equals, params = text.partition("=")
    _known(name)
    try:
        data = json.loads(params) if equals else {}
        if not isinstance(data, dict):
            raise UsageError(f"--operation {name}: expected a JSON object after the equals sign")
        call = registry.call(name, data)
        mark = Mark(f"--operation {name}", 0, 0)
        return host_inputs.with_secrets(host_inputs.with_paths(call, lambda _: mark), lambda _: mark, RealSecrets())
    except ValidationError as error:
        from imagebuild.migration.words import key

        first = next(findings(error, registry.params_model(name), key))
        where = f"{dotted(first.route)}: " if first.route else ""
        listed = f"`imagebuild operations show {name}` lists its parameters"
        raise UsageError(f"--operation {name}: {where}{first.message}", first.hint or listed) from error
    except ValueError as error:
        raise UsageError(f"--operation {name}: the text after the equals sign is not valid JSON: {error}") from error


def _accelerator(store: Store) -> accelerator.Accelerator:
    return accelerator.verdict(store.probe_cache).accelerator


def _scratch(store: Store) -> AbstractContextManager[Path]:
    """A folder for overlays; `gc` removes it if this process is killed."""
    return store.runs.workdir(new_run("look"), shared=False)


def _show(result: CustomiseResult, *, in_full: bool) -> None:
    for one in result.operations:
        paths = len({change.path for change in one.changes})
        status = f"{paths} changed" if one.changes else one.status
        left = f", {len(one.failed)} not done" if one.failed else ""
        echo(f"  {one.name:<32} {status}{left}{': ' + one.reason if one.reason else ''}")
        for change in one.failed:
            echo(f"      not done: {change.path}: {change.what}")
        for change in one.left:
            echo(f"      left: {change.path}: {change.what}")
        for change in one.changes if in_full else ():
            echo(f"      {change.path}: {change.what}")
            for line in change.diff.splitlines()[2:]:
                echo_text(f"        {line}")
