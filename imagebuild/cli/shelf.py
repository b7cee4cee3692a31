"""``imagebuild shelf``: artifacts as a static folder for web servers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import click

from imagebuild.cli.image_argument import ImageName
from imagebuild.cli.options import json_option, log_to_stderr, output_option, verbose_option
from imagebuild.cli.output import echo, echo_data
from imagebuild.cli.progress_options import progress_options
from imagebuild.cli.project_options import config_option
from imagebuild.cli.records import ShelfVerified, ShelfWritten, TemplateOffered, TemplateOnShelf
from imagebuild.cli.report import reporter
from imagebuild.cli.target import target
from imagebuild.cli.trust_options import accepted
from imagebuild.errors import UsageError
from imagebuild.events import data
from imagebuild.host.gpg import signing_key
from imagebuild.printable import counted
from imagebuild.project.load import load
from imagebuild.publish.signed import acceptance
from imagebuild.shelf import shelving, verified, virt_builder
from imagebuild.shelf.shelving import BuiltShelf, ShelfOptions
from imagebuild.store.artifact import LATEST, Artifact


@click.group()
def shelf() -> None:
    """Write artifacts to a folder that a web server serves to virt-builder and simplestreams, or check one."""


@shelf.command(
    epilog="""\b
Exit codes: 0 success, 1 failure, 2 invalid usage, 3 host requirements not met.
\b
Examples:
  imagebuild shelf build /srv/www/images
  imagebuild shelf build /srv/www/images debian-13 --sign 826BBD58AC7E6EB6
  imagebuild shelf build /srv/www/images --keep 5 --drop debian-12
  virt-builder --source file:///srv/www/images/index --no-check-signature --list"""
)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), metavar="DIR")
@click.argument("images", nargs=-1, type=ImageName(), metavar="[IMAGE...]")
@click.option(
    "--keep", type=click.IntRange(min=1), default=2, show_default=True,
    help="Keep this many versions of each template: the newest ones.",
)  # fmt: skip
@click.option(
    "--drop", multiple=True, metavar="TEMPLATE[/VERSION]",
    help="Take this template, or one version of it, from the shelf; repeatable.",
)  # fmt: skip
@click.option("--unverified", is_flag=True, help="Accept images that have not passed their verification.")
@click.option(
    "--sign", "key", metavar="KEYID", help="Sign the indexes with this secret key of gpg: fingerprint, ID or user ID."
)
@click.option(
    "--gpg-home",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="GNUPGHOME",
    help="Folder of GnuPG with the key; also set by GNUPGHOME. [default: ~/.gnupg]",
)
@click.option(
    "--passphrase-file", type=click.Path(path_type=Path, dir_okay=False),
    help="File with the key's passphrase. Without it, gpg's agent must know it: nothing is asked.",
)  # fmt: skip
@click.option("--unsigned", is_flag=True, help="Remove the signatures from a shelf that has some.")
@click.option("--into-existing", is_flag=True, help="Begin a shelf in a folder that has other files in it.")
@output_option
@config_option
@json_option
@progress_options
@verbose_option
def build(
    folder: Path,
    images: tuple[str, ...],
    keep: int,
    drop: tuple[str, ...],
    unverified: bool,
    key: str | None,
    gpg_home: Path | None,
    passphrase_file: Path | None,
    unsigned: bool,
    into_existing: bool,
    output: Path,
    config: Path | None,
    as_json: bool,
    verbose: bool,
) -> None:
    """Put IMAGEs on the shelf in DIR, and replace its indexes.

    IMAGE is a recipe (its latest artifact) or the folder of an artifact; by default, all recipes with
    an artifact. What else is on the shelf stays there, as far as --keep says.

    Files have immutable names, and the indexes are replaced last, so clients may read DIR at any time.
    What only the indexes before name is kept until the next run.

    If the project names keys (`trust.keys` in imagebuild.yaml), one of them must have signed each IMAGE.
    """
    if verbose:
        log_to_stderr()
    if key is not None and unsigned:
        raise UsageError("--sign and --unsigned are mutually exclusive")
    found = [_artifact(name, output) for name in images] or _all(output, drop)
    rule = acceptance(load(config))
    with nullcontext() if key is None else signing_key(key, gpg_home, passphrase_file) as signer:
        options = ShelfOptions(keep, drop, unverified, unsigned, signer, into_existing, rule)
        done = shelving.build(folder, found, options, reporter(as_json=as_json, quiet=False))
    if as_json:
        echo_data(data(_record(folder, done)))
    else:
        _show(folder, done)


def _artifact(name: str, output: Path) -> Artifact:
    named = target(name, output, finished=True)
    if not isinstance(named, Artifact):
        raise UsageError(f"{name} is not an artifact: there is no manifest beside it", "build it with a recipe")
    return named


def _all(output: Path, drop: Sequence[str]) -> list[Artifact]:
    """The latest artifacts of all recipes, without those that are to be dropped."""
    names = sorted(one.name for one in output.iterdir() if (one / LATEST).is_symlink()) if output.is_dir() else []
    if not names and not drop:
        raise UsageError(f"{output} has no artifacts", "build a recipe, or give the folder with --output")
    found = [_artifact(name, output) for name in names if name not in drop]
    return [one for one in found if f"{one.recipe}/{one.version}" not in drop]


def _record(folder: Path, done: BuiltShelf) -> ShelfWritten:
    templates = (
        TemplateOnShelf(
            name=one.name,
            version=one.current.version,
            revision=one.revision,
            versions=tuple(version.version for version in one.versions),
            image=one.current.disks[0].name,
            virt_builder=virt_builder.is_listed(one),
        )
        for one in done.record.templates
    )
    return ShelfWritten(
        folder=str(folder),
        signed=done.record.signer or None,
        templates=tuple(templates),
        added=tuple(done.added),
        removed=tuple(done.removed),
        lost=tuple(done.lost),
    )


def _show(folder: Path, done: BuiltShelf) -> None:
    for one in done.record.templates:
        others = ", ".join(version.version for version in reversed(one.versions[:-1]))
        echo(f"  {one.name:<24} {one.current.version:<14} revision {one.revision:<5} {others}")
        if not virt_builder.is_listed(one):
            echo(f"  note: {one.name} has several disks, so virt-builder's index does not list it")
    for lost in done.lost:
        echo(f"  note: {lost} is no longer listed: files of it were missing", err=True)
    signed = f"signed with {done.record.signer}" if done.record.signer else "not signed"
    echo(f"{folder}: {counted(len(done.record.templates), 'template')}, {signed}")


@shelf.command(
    epilog="""\b
Exit codes: 0 it is what was signed, 1 it is not, 2 invalid usage, 3 the shelf cannot be read.
\b
Examples:
  imagebuild shelf verify /srv/www/images --key images.asc
  imagebuild shelf verify https://images.example.org --key images.asc --remember ~/.shelf-seen.json"""
)
@click.argument("where", metavar="DIR|URL")
@click.option(
    "--key", "keys", type=click.Path(path_type=Path, dir_okay=False), multiple=True, metavar="FILE",
    help="Accept signatures by the OpenPGP key in FILE; repeatable. [default: those of trust.keys in imagebuild.yaml]",
)  # fmt: skip
@click.option(
    "--remember", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Refuse an index that is older than the newest one in FILE; write this one's revisions there.",
)  # fmt: skip
@config_option
@json_option
@progress_options
@verbose_option
def verify(
    where: str, keys: tuple[Path, ...], remember: Path | None, config: Path | None, as_json: bool, verbose: bool
) -> None:
    """Check that the shelf in a folder, or at an address, is what was signed, and is no older one.

    All indexes must be signed by one accepted key, and say the same. In a folder, all files are read; of
    an address, only the indexes. Nothing is changed.
    """
    if verbose:
        log_to_stderr()
    policy = accepted(keys, config)
    known = verified.seen(remember) if remember is not None else {}
    with reporter(as_json=as_json, quiet=False, live_only=True).step("shelf", "verify") as progress:
        found = verified.verify(where, policy, seen=known, progress=progress)
    if remember is not None:
        verified.remember(remember, found)
    if as_json:
        offered = tuple(TemplateOffered(one.name, one.revision, one.image) for one in found.templates)
        echo_data(
            data(ShelfVerified(shelf=where, key=found.key, templates=offered, files=found.files, unread=found.unread))
        )
        return
    for one in found.templates:
        echo(f"  {one.name:<24} revision {one.revision:<5} {one.image}")
    read = "read and unchanged" if found.files else "signed; their content was not read"
    echo(f"{where}: signed by {found.key}; {counted(found.files or found.unread, 'file')} {read}")
