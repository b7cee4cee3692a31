"""``imagebuild diff``: how the contents of two images differ."""

from __future__ import annotations

from pathlib import Path

import click

from imagebuild.cli.image_argument import ImageName, described, found
from imagebuild.cli.image_records import ImagesCompared, as_data
from imagebuild.cli.keys import key_option
from imagebuild.cli.options import log_to_stderr, output_option, store_option, verbose_option
from imagebuild.cli.output import echo, echo_data, echo_document, echo_lines
from imagebuild.cli.progress_options import progress_options
from imagebuild.contents import difference, difference_data, gates, markdown
from imagebuild.contents.compare import compare
from imagebuild.contents.gates import Gate
from imagebuild.errors import UsageError
from imagebuild.guest import Key


def _gates(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> tuple[Gate, ...]:
    try:
        return tuple(gates.parse(value) for value in values)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command(
    epilog="""\b
Exit codes: 0 success, 1 a gate does not pass (or failure), 2 invalid usage, 3 host requirements not met.
\b
Examples:
  imagebuild diff artifacts/debian-13/2026-11-28.1 debian-13
  imagebuild diff old.qcow2 new.qcow2 --all
  imagebuild diff old.qcow2 debian-13 --markdown > comment.md
  imagebuild diff old.qcow2 debian-13 --fail-on size-growth=10% --fail-on new-setuid-file"""
)
@click.argument("a", type=ImageName())
@click.argument("b", type=ImageName())
@click.option(
    "--fail-on", "wanted", multiple=True, metavar="GATE", callback=_gates,
    help=f"Exit with code 1 if B has such a difference: {', '.join(gates.names())}; repeatable.",
)  # fmt: skip
@click.option("--all", "everything", is_flag=True, help="List all files that differ.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print Markdown, for a merge request.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--from-disk", is_flag=True, help="Read the disks even if there are inventories beside the images.")
@key_option
@output_option
@store_option
@progress_options
@verbose_option
@click.pass_context
def diff(
    ctx: click.Context,
    a: str,
    b: str,
    wanted: tuple[Gate, ...],
    everything: bool,
    as_markdown: bool,
    as_json: bool,
    from_disk: bool,
    keys: tuple[Key, ...],
    output: Path,
    store: Path | None,
    verbose: bool,
) -> None:
    """Show how the contents of image B differ from those of A: packages, files, accounts, units,
    sizes.

    A and B are image files, folders of artifacts, or recipes, as for `inspect`. Images without an
    inventory are read together, in one launch of libguestfs. Nothing is changed.

    A gate that does not pass is reported with one line on standard error.
    """
    if verbose:
        log_to_stderr()
    if as_json and as_markdown:
        raise UsageError("--json and --markdown are mutually exclusive")
    named = [found(name, output, from_disk=from_disk) for name in (a, b)]
    quiet = as_json or as_markdown
    old, new = described(named, store=store, keys=keys, what="diff", quiet=quiet)
    differences = compare(old, new)
    fired = gates.fired(wanted, differences)
    names = (old.image, new.image)
    if as_json:
        found_data = difference_data.data(differences, fired)
        echo_data(as_data(ImagesCompared(a=names[0], b=names[1], **found_data)))
    elif as_markdown:
        echo_document(markdown.text(differences, names, fired, everything=everything))
    else:
        echo_lines(difference.lines(differences, names, everything=everything))
    for one in fired:
        echo(f"{one.gate}: {one.message}", err=True)
    ctx.exit(1 if fired else 0)
