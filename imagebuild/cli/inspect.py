"""``imagebuild inspect``: what is in an image."""

from __future__ import annotations

from pathlib import Path

import click

from imagebuild.cli.image_argument import described, found, from_disk_option, image_with_disks
from imagebuild.cli.image_records import ImageInspected, as_data
from imagebuild.cli.keys import key_option
from imagebuild.cli.options import log_to_stderr, output_option, store_option, verbose_option
from imagebuild.cli.output import echo, echo_data, echo_lines
from imagebuild.cli.progress_options import progress_options
from imagebuild.contents import picture, summary
from imagebuild.contents.described import data
from imagebuild.files import write_result
from imagebuild.guest import Key


@click.command(
    epilog="""\b
Exit codes: 0 success, 1 failure, 2 invalid usage, 3 host requirements not met.
\b
Examples:
  imagebuild inspect debian-13
  imagebuild inspect artifacts/debian-13/latest --svg disk.svg
  imagebuild inspect cloud.qcow2 --all
  imagebuild inspect system.raw data.raw
  imagebuild inspect debian-13 --json | jq -r '.packages | keys[]'"""
)
@image_with_disks
@click.option(
    "--all", "everything", is_flag=True,
    help="List also packages, and all accounts, units, folders and operations. With --json: all files.",
)  # fmt: skip
@click.option(
    "--svg",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write a picture of the disks to this file.",
)
@from_disk_option
@key_option
@output_option
@store_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@progress_options
@verbose_option
def inspect(
    image: str,
    further: tuple[Path, ...],
    everything: bool,
    svg: Path | None,
    from_disk: bool,
    keys: tuple[Key, ...],
    output: Path,
    store: Path | None,
    as_json: bool,
    verbose: bool,
) -> None:
    """Show what is in IMAGE: system, packages, disk, accounts, units, files with privileges. Changes
    nothing.

    IMAGE is an image file, the folder of an artifact, or a recipe: its latest artifact. DISKs are
    further disks of the same guest, in their order.

    An artifact has an inventory, which is shown in a moment. For other images, their disks are read
    with libguestfs. No program of the guest is run.
    """
    if verbose:
        log_to_stderr()
    named = found(image, output, further, from_disk=from_disk)
    (about,) = described([named], store=store, keys=keys, what="inspect", quiet=as_json)
    if svg is not None:
        write_result(svg, picture.svg(about.inventory.disks, about.inventory.volumes, named.images[0].name))
    if as_json:
        echo_data(as_data(ImageInspected(**data(about, files=everything))))
        return
    echo_lines(summary.lines(about, everything=everything))
    if svg is not None:
        echo()
        echo(f"picture: {svg}")
