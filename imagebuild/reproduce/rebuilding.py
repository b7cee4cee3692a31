"""A rebuild: a build from a manifest, in a store of its own, and its comparison with the original.

The original is only read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from imagebuild import fetch
from imagebuild.build import engine, installers, tool_versions
from imagebuild.build.plan import Plan
from imagebuild.contents.compare import compare
from imagebuild.contents.described import DescribedImage
from imagebuild.errors import UsageError
from imagebuild.files import sha256
from imagebuild.image import disk_image
from imagebuild.kickstrap.installer import KickstrapPreparation
from imagebuild.kickstrap.mirror import Mirror
from imagebuild.progress import Progress
from imagebuild.recipe import host_inputs
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.reproduce import differences, disk_comparison, obstacles
from imagebuild.reproduce.differences import Difference
from imagebuild.reproduce.expected import Condition
from imagebuild.reproduce.obstacles import Obstacle
from imagebuild.reproduce.origin import OriginalBuild
from imagebuild.store.artifact import Artifact
from imagebuild.store.store import Store


@dataclass(frozen=True)
class Comparison:
    """How a rebuild differs from its original; ``identical`` if the images have the same bytes."""

    identical: bool
    differences: tuple[Difference, ...]

    @property
    def unexpected(self) -> tuple[Difference, ...]:
        """The differences without a known reason."""
        return tuple(one for one in self.differences if not one.reason)


def dated_mirror(recipe: Recipe, main: str, security: str | None) -> Mirror:
    """A mirror with the state of an earlier day, for one run. Raises UsageError for a recipe whose
    installer takes no mirror, and HostError if the mirror cannot be reached.
    """
    if not installers.of(recipe).HAS_PAYLOADS:
        raise UsageError(
            f"--mirror cannot be used with {recipe.name}: its installer takes its packages from its source"
        )
    main, security = main.rstrip("/"), security.rstrip("/") if security else None
    try:
        fetch.version(f"{main}/dists/{recipe.os.codename}-updates/InRelease")
        updates = True
    except fetch.NotThere:
        updates = False
    return Mirror(main, security, updates, dated=True)


def known_obstacles(origin: OriginalBuild, plan: Plan, store: Store) -> list[Obstacle]:
    """Everything that will not be as it was, as far as that is known before the build."""
    found = [*obstacles.of_tools(origin, tool_versions.every(store.probe_cache))]
    found += obstacles.of_kickstart(origin, plan)
    found += obstacles.of_steps(origin, plan)
    if isinstance(plan.preparation, KickstrapPreparation):
        found += obstacles.of_packages(origin, plan.preparation.payload_spec)
    return found


def check_apart(origin: OriginalBuild, output: Path) -> None:
    """Raise UsageError if the rebuild would become a version beside the original."""
    if origin.folder.parent.resolve() == (output / origin.name).resolve():
        raise UsageError(
            f"{output} is the folder of the original, where the rebuild would become the latest version",
            "choose another folder with --output",
        )


def check_original(origin: OriginalBuild) -> None:
    """Raise UsageError unless the original's image is there, is the one in its manifest, and has a
    format that can be read.
    """
    original = origin.folder / origin.image
    if original.is_symlink() or not original.is_file():
        raise UsageError(f"{origin.folder} does not contain {origin.image}, the image of the manifest")
    if (found := sha256(original)) != origin.image_sha256:
        raise UsageError(f"{original} is not the image in its manifest: its SHA-256 is {found}")
    disk_image.recognise(original)


def conditions(recipe: Recipe, mirror: Mirror | None) -> frozenset[Condition]:
    """What is special about this rebuild, so that some differences are expected."""
    found: set[Condition] = set()
    if mirror is not None:
        found.add("mirror")
    if recipe.installer.payload == "in-vm":
        found.add("packages in the VM")
    if host_inputs.has_secrets(recipe):
        found.add("secrets")
    return frozenset(found)


def compared(
    origin: OriginalBuild,
    made: Artifact,
    described: tuple[DescribedImage, DescribedImage],
    special: frozenset[Condition],
    progress: Progress,
) -> Comparison:
    """How ``made`` differs from the original, which has been checked."""
    original = origin.folder / origin.image
    random = not origin.identity
    before, after = described
    layout = after.inventory.disks[0] if after.inventory.disks else None
    parts = disk_comparison.compare(original, made.image, layout, progress)
    found = (
        *differences.of_contents(compare(before, after), special, random_identifiers=random),
        *differences.of_disks(parts, random_identifiers=random),
    )
    return Comparison(identical=False, differences=found)


def plan_of(recipe: Recipe, store: Store, mirror: Mirror | None) -> Plan:
    """The plan of the rebuild. Raises ImageBuildError."""
    return engine.make_plan(recipe, store, looked=mirror)
