"""``imagebuild sbom``: the software bill of materials of an image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from imagebuild.cli.image_argument import NamedImage, described, found, from_disk_option, image_with_disks
from imagebuild.cli.image_records import SbomWritten, as_data
from imagebuild.cli.keys import key_option
from imagebuild.cli.options import log_to_stderr, output_option, store_option, verbose_option
from imagebuild.cli.output import echo, echo_data, echo_document
from imagebuild.cli.progress_options import progress_options
from imagebuild.contents.inventory import Inventory
from imagebuild.errors import UsageError
from imagebuild.guest import Key
from imagebuild.printable import counted
from imagebuild.sbom import writing
from imagebuild.sbom.writing import SUFFIXES, Format


@click.command(
    epilog="""\b
Exit codes: 0 success, 1 failure, 2 invalid usage, 3 host requirements not met.
\b
Examples:
  imagebuild sbom debian-13 > debian-13.cdx.json
  imagebuild sbom debian-13 --format spdx --file debian-13.spdx.json
  imagebuild sbom cloud.qcow2 --file cloud.cdx.json
  imagebuild sbom cloud.qcow2 --file cloud.cdx.json --json | jq .packages"""
)
@image_with_disks
@click.option(
    "--format", "form", type=click.Choice(list(SUFFIXES)), default="cyclonedx", show_default=True,
    help="Format of the document: CycloneDX 1.6 or SPDX 2.3, in JSON.",
)  # fmt: skip
@click.option(
    "--file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the document to this file instead of standard output.",
)
@from_disk_option
@key_option
@output_option
@store_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object about the written file; needs --file.")
@progress_options
@verbose_option
def sbom(
    image: str,
    further: tuple[Path, ...],
    form: Format,
    file: Path | None,
    from_disk: bool,
    keys: tuple[Key, ...],
    output: Path,
    store: Path | None,
    as_json: bool,
    verbose: bool,
) -> None:
    """Write the software bill of materials of IMAGE: packages, licences, files that belong to no package.

    The image is not changed.

    IMAGE is an image file, the folder of an artifact, or a recipe: its latest artifact. DISKs are
    further disks of the same guest, in their order.

    An artifact has an inventory, from which the document is made in a moment. For other images, their
    disks are read with libguestfs. No program of the guest is run. The same image gives the same bytes.
    """
    if verbose:
        log_to_stderr()
    if as_json and file is None:
        raise UsageError("--json is about a written file", "name one with --file")
    named = found(image, output, further, from_disk=from_disk)
    inventory = _inventory(named, store, keys, quiet=as_json or file is None)
    made = writing.bill(inventory, writing.billed_image(named.images[0], named.beside))
    text = writing.text(made, form)
    for one in made.missing:
        echo(f"note: {one}", err=True)
    if file is None:
        echo_document(text)
        return
    writing.write(file, text)
    if as_json:
        echo_data(
            as_data(
                SbomWritten(
                    image=str(named.images[0]), format=form, file=str(file), serial=str(made.serial),
                    packages=len(made.packages), files=len(made.files), missing=made.missing,
                )
            )
        )  # fmt: skip
        return
    echo(f"{file}: {counted(len(made.packages), 'package')}, {counted(len(made.files), 'file')} of no package")


def _inventory(named: NamedImage, store: Path | None, keys: tuple[Key, ...], *, quiet: bool) -> Inventory:
    """The inventory of an image. An older one than this version makes is made again from the disk, if
    that says more.
    """
    (about,) = described([named], store=store, keys=keys, what="list", quiet=quiet)
    if about.inventory.installed is not None or about.source == "disk" or named.beside is None:
        return about.inventory
    echo("note: the inventory beside the image has no licences and no sources: its disk is read", err=True)
    again = replace(named, beside=replace(named.beside, inventory=None))
    (read,) = described([again], store=store, keys=keys, what="list", quiet=quiet)
    return about.inventory if read.inventory.installed is None else read.inventory
