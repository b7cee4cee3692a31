"""``imagebuild page``: the artifacts as static HTML."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click

from imagebuild.cli.options import (
    RecipeName,
    json_option,
    log_to_stderr,
    opened,
    output_option,
    store_option,
    verbose_option,
)
from imagebuild.cli.output import echo, echo_data
from imagebuild.cli.progress_options import progress_options
from imagebuild.cli.records import PageReported
from imagebuild.cli.report import reporter
from imagebuild.errors import HostError
from imagebuild.events import data
from imagebuild.nightly.journal import NightlyJournal
from imagebuild.nightly.page_stage import outcomes
from imagebuild.page.writing import Downloads, PageWritten, write_page
from imagebuild.store.history import History
from imagebuild.store.store import default_root


@click.command(
    epilog="""\b
Exit codes: 0 success, 1 failure, 2 invalid usage, 3 host requirements not met.
\b
Examples:
  imagebuild page public
  imagebuild page /srv/www/builds --title "Images of the web team" --url https://builds.example.org/
  imagebuild page public debian-13 --downloads copy
  python3 -m http.server --directory public"""
)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), metavar="DIR")
@click.argument("images", nargs=-1, type=RecipeName(), metavar="[IMAGE...]")
@click.option("--title", default="Images", show_default=True, help="Title of the page and of the feed.")
@click.option(
    "--url", metavar="URL", help="Where DIR will be served: the feed then has absolute links, which some readers need."
)
@click.option(
    "--downloads", type=click.Choice(get_args(Downloads)), default="link", show_default=True,
    help="Offer the artifacts' files by symbolic links in DIR, as copies, or not at all.",
)  # fmt: skip
@output_option
@store_option
@json_option
@progress_options
@verbose_option
def page(
    folder: Path,
    images: tuple[str, ...],
    title: str,
    url: str | None,
    downloads: Downloads,
    output: Path,
    store: Path | None,
    as_json: bool,
    verbose: bool,
) -> None:
    """Write the artifacts to DIR as static HTML: versions, what is in them, what changed, a feed.

    IMAGE is the name of an image with artifacts; by default, all of them. DIR is new, empty, or a page
    that was written before: pages of versions that have not changed stay as they are, those of versions
    that are no longer there are removed. The store is only read, for the last builds.
    """
    if verbose:
        log_to_stderr()
    done = write_page(
        output, folder, title=title, base_url=url, history=_history(store), recipes=images, downloads=downloads,
        outcomes=outcomes(NightlyJournal(output).images()), reporter=reporter(as_json=as_json, quiet=False),
    )  # fmt: skip
    if as_json:
        echo_data(data(PageReported(**{**vars(done), "folder": str(done.folder), "index": str(_index(done))})))
        return
    for note in done.notes:
        echo(f"  note: {note}", err=True)
    if not done.plots:
        echo("  note: without plots, which need the package pygal: pip install 'imagebuild[pictures]'", err=True)
    echo(str(_index(done)))


def _index(done: PageWritten) -> Path:
    return done.folder / "index.html"


def _history(store: Path | None) -> History | None:
    """The history; None if the default store is not there or cannot be used: a page does not need it."""
    if store is not None:
        return History(opened(store))
    if not default_root().is_dir():
        return None
    try:
        return History(opened(None))
    except HostError as error:
        echo(f"  note: the last builds are left out: {error}", err=True)
        return None
