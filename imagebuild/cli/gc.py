"""``imagebuild gc``."""

from __future__ import annotations

from pathlib import Path

import click

from imagebuild.build import gc as collector
from imagebuild.cli.options import Size, json_option, opened, store_option
from imagebuild.cli.output import echo, echo_data, shown
from imagebuild.cli.store_records import StoreCollected
from imagebuild.events import data


@click.command(
    epilog="""\b
Examples:
  imagebuild gc --dry-run
  imagebuild gc --keep 1 --max-size 20GiB
  imagebuild gc --output /srv/images --keep 5"""
)
@click.option(
    "--keep", type=click.IntRange(min=1), default=2, show_default=True,
    help="Keep this many results of each kind per recipe: the most recently used ones.",
)  # fmt: skip
@click.option("--max-size", type=Size(), metavar="SIZE", help="Maximum size of the store, such as 50GiB.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Also remove old versions of the images in this folder; the newest --keep versions stay.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be removed. Removes nothing.")
@store_option
@json_option
def gc(keep: int, max_size: int | None, output: Path | None, dry_run: bool, store: Path | None, as_json: bool) -> None:
    """Remove from the store what is no longer needed.

    That is what dead builds left behind (their machines, processes and files), damaged entries, and
    old results of steps. What a running build uses is kept, and so is the newest version of each
    image.
    """
    there = opened(store)
    report = collector.collect(there, keep=keep, max_size=max_size, dry_run=dry_run)
    removed = list(report.removed)
    if output is not None:
        removed += collector.versions(output, there, keep=keep, dry_run=dry_run)
    freed = sum(one.size for one in removed)
    if as_json:
        echo_data(data(StoreCollected(removed=tuple(removed), freed=freed, kept=report.kept, dry_run=dry_run)))
        return
    for one in removed:
        echo(f"{shown(one.what):<60} {one.size >> 20:>7} MiB  {one.why}")
    verb = "would be freed" if dry_run else "freed"
    echo(f"{freed >> 20} MiB {verb}, {report.kept >> 20} MiB kept in {there.root}")
