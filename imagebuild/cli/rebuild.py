"""``imagebuild rebuild``: build an image again from its manifest, and compare it with the original."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import click

from imagebuild.build import engine
from imagebuild.build.step_cache import Settings
from imagebuild.cli.image_argument import described, found
from imagebuild.cli.options import RecipeName, json_option, log_to_stderr, opened, store_option, verbose_option
from imagebuild.cli.output import echo, echo_data, echo_lines
from imagebuild.cli.progress_options import progress_options
from imagebuild.cli.rebuild_records import ImageRebuilt, RebuildPlanned
from imagebuild.cli.report import reporter
from imagebuild.errors import UsageError
from imagebuild.kickstrap.mirror import Mirror
from imagebuild.printable import counted
from imagebuild.progress import Reporter
from imagebuild.recipe.load import load
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.reproduce import origin as origins
from imagebuild.reproduce import rebuilding
from imagebuild.reproduce.differences import Difference
from imagebuild.reproduce.obstacles import Obstacle
from imagebuild.reproduce.origin import OriginalBuild
from imagebuild.reproduce.rebuilding import Comparison
from imagebuild.reproduce.temporary_store import store_beside
from imagebuild.store.artifact import Artifact
from imagebuild.store.store import Store

_MOST = 30


@click.command(
    epilog="""\b
Exit codes: 0 only expected differences (or none), 1 others (or failure), 2 invalid usage, 3 host requirements not met.
\b
Examples:
  imagebuild rebuild artifacts/debian-13/2026-11-28.1
  imagebuild rebuild manifest.json --recipe recipes/web.yaml --output /srv/rebuilt
  imagebuild rebuild artifacts/debian-13/2026-11-28.1 \\
      --mirror https://snapshot.debian.org/archive/debian/20261128T000000Z/ \\
      --security-mirror https://snapshot.debian.org/archive/debian-security/20261128T000000Z/"""
)
@click.argument("manifest", type=click.Path(path_type=Path))
@click.option(
    "--mirror", metavar="URL", help="Take packages from this mirror, which may have the state of an earlier day."
)
@click.option("--security-mirror", metavar="URL", help="With --mirror: the mirror of Debian's security updates.")
@click.option("--recipe", "given", type=RecipeName(), metavar="RECIPE", help="Build this recipe, not the manifest's.")
@click.option(
    "--trust-manifest", is_flag=True,
    help="Let the manifest's recipe use files, environment variables and networks of this host.",
)  # fmt: skip
@click.option("--reuse", is_flag=True, help="Use results of steps in the store, and store new ones there.")
@click.option("--dry-run", is_flag=True, help="Only show what cannot be the same.")
@click.option(
    "--output", type=click.Path(path_type=Path, file_okay=False), default=Path("rebuilt"), show_default=True,
    help="Folder for the rebuilt artifact.",
)  # fmt: skip
@click.option("--all", "everything", is_flag=True, help="List all differences.")
@store_option
@json_option
@progress_options
@verbose_option
@click.pass_context
def rebuild(
    ctx: click.Context,
    manifest: Path,
    mirror: str | None,
    security_mirror: str | None,
    given: str | None,
    trust_manifest: bool,
    reuse: bool,
    dry_run: bool,
    output: Path,
    everything: bool,
    store: Path | None,
    as_json: bool,
    verbose: bool,
) -> None:
    """Build the image of MANIFEST again, and show how the result differs from it, and why.

    MANIFEST is a manifest.json or the folder of an artifact, which is only read. What cannot be the
    same, such as versions of tools, is listed first. Every step is run, in a store that is removed
    at the end. The rebuilt image is not verified in booted clones.
    """
    if verbose:
        log_to_stderr()
    if security_mirror and not mirror:
        raise UsageError("--security-mirror requires --mirror")
    origin = origins.read(manifest)
    rebuilding.check_apart(origin, output)
    rebuilding.check_original(origin)
    recipe = _recipe(origin, given, trusted=trust_manifest)
    kept = opened(store)
    looked = rebuilding.dated_mirror(recipe, mirror, security_mirror) if mirror else None
    known = rebuilding.known_obstacles(origin, rebuilding.plan_of(recipe, kept, looked), kept)
    if not as_json:
        echo_lines(_obstacle_lines(known))
    if dry_run:
        if not known and not as_json:
            echo("nothing is known that cannot be the same")
        if as_json:
            planned = RebuildPlanned(manifest=str(origin.manifest), recipe=origin.name, obstacles=tuple(known))
            echo_data(asdict(planned))
        return
    engine.clear_dead_runs(kept)
    reports = reporter(as_json=as_json, quiet=False)
    with nullcontext(kept) if reuse else store_beside(output, kept) as used:
        settings = Settings(used, output, verify=False, identity=origin.identity, looked=looked)
        made = engine.build(recipe, settings, reports)
    comparison = _compared(origin, made, recipe, looked, kept, reports)
    if as_json:
        echo_data(asdict(_record(origin, made, known, comparison)))
    else:
        echo_lines(_lines(origin, made, comparison, everything=everything))
    ctx.exit(1 if comparison.unexpected else 0)


def _recipe(origin: OriginalBuild, given: str | None, *, trusted: bool) -> Recipe:
    """The recipe to build. Raises UsageError if that of the manifest uses this host and is not trusted."""
    if given is not None:
        recipe = origins.unverified(load(given))
        if recipe.name != origin.name:
            raise UsageError(f"{given} is the recipe of {recipe.name}, but the manifest is that of {origin.name}")
        return recipe
    recipe = origin.loaded()
    if recipe.name != origin.name:
        raise UsageError(f"{origin.manifest} is that of {origin.name}, but its recipe is that of {recipe.name}")
    named = list(origins.named_on_host(recipe))
    if named and not trusted:
        raise UsageError(
            f"the recipe in {origin.manifest} uses what is on this host: {'; '.join(named)}",
            "name the recipe that you know with --recipe; or, if this host may give that away, add --trust-manifest",
        )
    for path in origins.relative_paths(recipe):
        raise UsageError(
            f"{path} is relative to the file of a recipe, which the manifest does not contain",
            "name that recipe with --recipe",
        )
    return recipe


def _compared(
    origin: OriginalBuild, made: Artifact, recipe: Recipe, mirror: Mirror | None, store: Store, reports: Reporter
) -> Comparison:
    """How the images differ: the contents of all files are read, unless the images are equal."""
    if made.manifest().image.sha256 == origin.image_sha256:
        return Comparison(identical=True, differences=())
    images = (str(origin.folder / origin.image), str(made.image))
    with reports.step(recipe.name, "compare") as progress:
        progress.update("reading all files")
        named = [found(name, made.folder, from_disk=True) for name in images]
        old, new = described(named, store=store.root, what="compare", quiet=True, all_digests=True)
        special = rebuilding.conditions(recipe, mirror)
        comparison = rebuilding.compared(origin, made, (old, new), special, progress)
        progress.summary(_verdict(comparison))
    return comparison


def _record(origin: OriginalBuild, made: Artifact, known: Sequence[Obstacle], comparison: Comparison) -> ImageRebuilt:
    return ImageRebuilt(
        manifest=str(origin.manifest),
        recipe=origin.name,
        original=origin.version,
        version=made.version,
        image=str(made.image),
        identical=comparison.identical,
        obstacles=tuple(known),
        differences=comparison.differences,
        unexpected=len(comparison.unexpected),
    )


def _obstacle_lines(known: Sequence[Obstacle]) -> Iterator[str]:
    if known:
        yield "cannot be the same:"
        yield from (f"  {one.what}: {one.was} → {one.now}" for one in known)


def _lines(origin: OriginalBuild, made: Artifact, comparison: Comparison, *, everything: bool) -> Iterator[str]:
    """Differences that are not expected first, the others by reason."""
    yield f"{origin.name}  {origin.version} → {made.version}: {_verdict(comparison)}"
    if comparison.unexpected:
        yield "not expected:"
        yield from _listed(comparison.unexpected, everything=everything)
    for reason in dict.fromkeys(one.reason for one in comparison.differences if one.reason):
        yield f"expected, since {reason}:"
        yield from _listed([one for one in comparison.differences if one.reason == reason], everything=everything)
    yield str(made.image)


def _listed(some: Sequence[Difference], *, everything: bool) -> Iterator[str]:
    shown = some if everything else some[:_MOST]
    yield from (f"  {one.kind:<10} {one.name}: {one.detail}" for one in shown)
    if len(shown) < len(some):
        yield f"  … {len(some) - len(shown)} more, with --all"


def _verdict(comparison: Comparison) -> str:
    if comparison.identical:
        return "identical, byte by byte"
    expected = len(comparison.differences) - len(comparison.unexpected)
    return f"{counted(expected, 'expected difference')}, {len(comparison.unexpected)} not expected"
