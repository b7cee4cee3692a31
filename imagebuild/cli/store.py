"""``imagebuild store``: the store that machines share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from imagebuild.build import sharing
from imagebuild.build.sharing import SharedResult
from imagebuild.build.step_cache import Settings
from imagebuild.cli.options import (
    Age,
    RecipeName,
    Size,
    json_option,
    loaded,
    opened,
    output_option,
    store_option,
    var_option,
)
from imagebuild.cli.output import echo, echo_data, shown
from imagebuild.cli.progress_options import progress_options
from imagebuild.cli.project_options import config_option
from imagebuild.cli.remote_options import remote_option, required
from imagebuild.cli.remote_records import EntryChecked, EntryListed, EntryShared, RemotePruned
from imagebuild.cli.report import reporter
from imagebuild.errors import ImageBuildError
from imagebuild.events import data
from imagebuild.printable import counted
from imagebuild.remote import retention
from imagebuild.remote.opening import open_remote
from imagebuild.remote.retention import RetentionRules
from imagebuild.schema.section import MIB

F = TypeVar("F", bound=Callable[..., Any])
_EXIT_CODES = "Exit codes: 0 done; 1 something is wrong with an entry; 2 invalid usage; 3 the store cannot be used."


@click.group()
def store() -> None:
    """Show, fill, check and clean the store that machines share: the section `store` of imagebuild.yaml."""


def _remote_options(function: F) -> F:
    return remote_option(config_option(json_option(function)))


@store.command(
    "ls",
    epilog=f"""\b
{_EXIT_CODES}
\b
Examples:
  imagebuild store ls
  imagebuild store ls --remote-store /mnt/images/store --json | jq -r 'select(.problem != "").kind'""",
)
@_remote_options
def list_entries(remote_store: str | None, config: Path | None, as_json: bool) -> None:
    """List the entries of the remote store, those used last first, and what is wrong with them."""
    with open_remote(required(remote_store, config)) as remote:
        found = retention.entries(remote)
    for one in found:
        used = datetime.fromtimestamp(one.used, UTC)
        if as_json:
            line = EntryListed(
                kind=one.kind,
                fingerprint=one.fingerprint,
                recipe=one.label,
                used=used.isoformat(timespec="seconds"),
                size=one.size,
                problem=one.wrong,
            )
            echo_data(data(line))
            continue
        problem = f"  not taken: {one.wrong}" if one.wrong else ""
        label = shown(one.label)
        echo(f"{one.kind:<11} {one.fingerprint[:12]}  {one.size / MIB:>7.1f} MiB  {used:%Y-%m-%d}  {label}{problem}")
    if not as_json:
        echo(f"{counted(len(found), 'entry', 'entries')} in {shown(remote.name)}")


@store.command(
    epilog=f"""\b
{_EXIT_CODES}
\b
Examples:
  imagebuild store push debian-13
  imagebuild store push debian-13 web --output /srv/images --json"""
)
@click.argument("recipes", nargs=-1, required=True, type=RecipeName())
@var_option
@output_option
@store_option
@_remote_options
@progress_options
def push(
    recipes: tuple[str, ...],
    given: dict[str, str],
    output: Path,
    store: Path | None,
    remote_store: str | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Put the results of RECIPES that this host has into the remote store, with their latest images.

    What contains secrets of a recipe stays here.
    """
    settings = Settings(opened(store), output)
    reports = reporter(as_json=as_json, quiet=False, live_only=True)
    with open_remote(required(remote_store, config)) as remote:
        for recipe in loaded(recipes, given):
            _show_shared(sharing.push(recipe, settings, remote, reports), as_json=as_json)


@store.command(
    epilog=f"""\b
{_EXIT_CODES}
\b
Examples:
  imagebuild store pull debian-13
  imagebuild store pull debian-13 --everything --json"""
)
@click.argument("recipes", nargs=-1, required=True, type=RecipeName())
@var_option
@click.option("--everything", is_flag=True, help="Fetch all results, not only the furthest one.")
@store_option
@_remote_options
@progress_options
def pull(
    recipes: tuple[str, ...],
    given: dict[str, str],
    everything: bool,
    store: Path | None,
    remote_store: str | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Fetch from the remote store what a build of RECIPES would go on from. A build does this by itself.

    The images themselves are fetched by `imagebuild build`.
    """
    settings = Settings(opened(store), Path("artifacts"))
    reports = reporter(as_json=as_json, quiet=False, live_only=True)
    with open_remote(required(remote_store, config)) as remote:
        for recipe in loaded(recipes, given):
            _show_shared(sharing.pull(recipe, settings, remote, reports, everything=everything), as_json=as_json)


def _show_shared(results: Iterable[SharedResult], *, as_json: bool) -> None:
    for one in results:
        if as_json:
            line = EntryShared(
                recipe=one.recipe,
                step=one.step,
                kind=one.kind,
                fingerprint=one.fingerprint,
                outcome=one.state,
                size=one.size,
            )
            echo_data(data(line))
        else:
            size = f"  {one.size / MIB:.1f} MiB" if one.size else ""
            echo(f"{shown(one.recipe):<24} {one.kind:<11} {one.fingerprint[:12]}  {one.state}{size}")


@store.command(
    epilog=f"""\b
{_EXIT_CODES}
\b
Examples:
  imagebuild store verify
  imagebuild store verify --remove
  imagebuild store verify --kind artifact --json | jq 'select(.good | not)'"""
)
@click.option("--kind", "kinds", multiple=True, metavar="KIND", help="Only entries of this kind; repeatable.")
@click.option("--remove", is_flag=True, help="Remove entries that are not good.")
@_remote_options
def verify(kinds: tuple[str, ...], remove: bool, remote_store: str | None, config: Path | None, as_json: bool) -> None:
    """Read all entries of the remote store, and check every byte of them. Changes nothing without --remove."""
    bad = 0
    with open_remote(required(remote_store, config)) as remote:
        for one in retention.entries(remote):
            if kinds and one.kind not in kinds:
                continue
            damage = [] if one.wrong else remote.damage(one.kind, one.fingerprint)
            problem = one.wrong or (damage[0].message if damage else "")
            bad += bool(problem)
            if problem and remove:
                remote.remove(one.kind, one.fingerprint, damage)
            if as_json:
                line = EntryChecked(
                    kind=one.kind, fingerprint=one.fingerprint, recipe=one.label, good=not problem, problem=problem
                )
                echo_data(data(line))
            else:
                echo(f"{one.kind:<11} {one.fingerprint[:12]}  {shown(one.label):<24} {problem or 'good'}")
    if bad:
        removed = ", and were removed" if remove else ""
        raise ImageBuildError(
            f"{counted(bad, 'entry', 'entries')} of the remote store {remote.name} would not be taken{removed}",
            "find out who can write there; --remove removes them, and the next build puts good ones in their place",
        )


@store.command(
    epilog=f"""\b
{_EXIT_CODES}
\b
Examples:
  imagebuild store prune --dry-run
  imagebuild store prune --keep 1 --unused 30d
  imagebuild store prune --max-size 200GiB"""
)
@click.option(
    "--keep", type=click.IntRange(min=1), metavar="N",
    help="Keep the N results of each kind and recipe that were used last. [default: store.keep, or 2]",
)  # fmt: skip
@click.option("--unused", type=Age(), metavar="AGE", help="Remove what was not used for so long, such as 30d.")
@click.option("--max-size", type=Size(), metavar="SIZE", help="Maximum size of the remote store, such as 200GiB.")
@click.option("--dry-run", is_flag=True, help="Show what would be removed. Removes nothing.")
@_remote_options
def prune(
    keep: int | None,
    unused: int | None,
    max_size: int | None,
    dry_run: bool,
    remote_store: str | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Remove from the remote store what is no longer needed.

    That is what --keep, --unused and --max-size do not keep, entries that are not taken, and what
    interrupted pushes have left. What is being pushed stays.
    """
    settings = required(remote_store, config)
    with open_remote(settings) as remote:
        rules = RetentionRules(keep or settings.entry.keep, unused, max_size)
        done = retention.prune(remote, rules, dry_run=dry_run)
    if as_json:
        echo_data(data(RemotePruned(removed=done.removed, kept=done.kept, dry_run=dry_run)))
        return
    for one in done.removed:
        echo(f"{shown(one.what):<60} {one.size >> 20:>7} MiB  {shown(one.why)}")
    verb = "would be removed" if dry_run else "removed"
    echo(f"{_number(done.removed)} {verb}, {done.kept >> 20} MiB kept in {shown(remote.name)}")


def _number(removed: Sequence[object]) -> str:
    return counted(len(removed), "entry", "entries") if removed else "nothing"
