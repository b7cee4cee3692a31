"""``imagebuild export``: an image in the format of another platform."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from imagebuild.cli.image_argument import ImageName
from imagebuild.cli.options import json_option, log_to_stderr, output_option, verbose_option
from imagebuild.cli.output import echo
from imagebuild.cli.progress_options import progress_options
from imagebuild.cli.report import JsonReporter, reporter
from imagebuild.cli.subject_options import MachineChoice, machine_options
from imagebuild.cli.target import target
from imagebuild.events import Exported, ExportedFile
from imagebuild.exports import export_source, exporters
from imagebuild.exports.export_source import ExportSource
from imagebuild.image.disk_image import Format
from imagebuild.store.artifact import Artifact
from imagebuild.verify.subject import Firmware
from imagebuild.verify.subjects import image_subject


@click.command(
    epilog="""\b
Exit codes: 0 success, 1 failure, 2 invalid usage, 3 host requirements not met.
\b
Formats:
  ova             VMware and VirtualBox
  vagrant         a box for vagrant-libvirt
  container-disk  KubeVirt: an OCI image layout
  gce             Google Compute Engine
  azure           Azure
\b
Examples:
  imagebuild export debian-13 ova exports
  imagebuild export artifacts/debian-13/2026-11-29.1 container-disk exports
  imagebuild export cloud.qcow2 azure exports --name cloud --force
  imagebuild export debian-13 gce exports --json | jq -r 'select(.event == "exported").files[].path'"""
)
@click.argument("image", type=ImageName())
@click.argument("format_name", type=click.Choice(list(exporters.EXPORTERS)), metavar="FORMAT")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), metavar="OUTPUT-FOLDER")
@click.option("--name", help="Name of the exported files, for an image file. [default: its own name]")
@click.option("--force", is_flag=True, help="Replace an existing export of the same name.")
@machine_options
@output_option
@json_option
@progress_options
@verbose_option
def export(
    image: str,
    format_name: str,
    folder: Path,
    name: str | None,
    force: bool,
    given: Format | None,
    firmware: Firmware | None,
    memory: int,
    machine: Path | None,
    output: Path,
    as_json: bool,
    verbose: bool,
) -> None:
    """Write IMAGE into OUTPUT-FOLDER in the FORMAT of another platform. Changes nothing else.

    IMAGE is a recipe (its latest artifact), the folder of an artifact, or an image file. Memory,
    CPUs, firmware and network cards are those of the domain definition beside the image.

    The same image always gives the same bytes. A failure or an interruption leaves nothing behind.
    A format of a single disk gives one file for each disk of the guest.
    """
    if verbose:
        log_to_stderr()
    exporter = exporters.get(format_name)
    reports = reporter(as_json=as_json, quiet=False)
    named = target(image, output)
    with reports.step(named.recipe if isinstance(named, Artifact) else named.name, "export") as progress:
        progress.update("checking the image")
        found = _source(named, name, MachineChoice(given, firmware, memory, machine))
        paths = exporter.write_all(found, folder, force=force, progress=progress)
        files = tuple(ExportedFile(path=str(path), size=exporters.size_of(path)) for path in paths)
        progress.summary(f"{format_name}, {sum(one.size for one in files) / (1 << 20):.0f} MiB")
    if isinstance(reports, JsonReporter):
        reports.emit(Exported(image=image, format=format_name, files=files))
        return
    for one in files:
        echo(one.path)


def _source(named: Artifact | Path, name: str | None, choice: MachineChoice) -> ExportSource:
    if isinstance(named, Artifact):
        found = export_source.of_artifact(named)
        return replace(found, name=export_source.checked_name(name, "--name")) if name else found
    subject = image_subject(
        named, (), given=choice.given, firmware=choice.firmware, memory=choice.memory, machine=choice.machine
    )
    return export_source.of_subject(subject, name or "")
