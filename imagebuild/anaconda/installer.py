"""Installation with Anaconda. It has one step: fetching and verifying the install source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from imagebuild import fingerprint
from imagebuild.anaconda import boot_options, medium, repositories, source
from imagebuild.anaconda.medium import Cache
from imagebuild.anaconda.source import FoundSource
from imagebuild.errors import HostError
from imagebuild.fetch import shown
from imagebuild.kickstart.check import Supported
from imagebuild.kickstart.plain import plain
from imagebuild.kickstart.render import CdromPayload, Payload, Rendered, RepositoryValues, TreePayload
from imagebuild.machine.install_vm import Boot
from imagebuild.machine.virt_install import SourceDisk
from imagebuild.progress import Progress
from imagebuild.recipe.model.cpu import Cpu
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.step import TREE, Addition, Check, Checked, Entries, Offers, Prepared, Start, Step, Tools, World
from imagebuild.store.store import Store

ASKS = True
PROVES_PACKAGES = False
ASKS_SERVERS = True
HAS_PAYLOADS = False
SOURCE_CODE = (*(f"anaconda/{name}.py" for name in ("medium", "treeinfo", "boot_options")), "image/iso.py")
"""The code that determines the result of the step; a test compares it with the imports."""
_MEDIUM = "medium.iso"
"""The medium in the VM's drive, next to an exported script."""


@dataclass(frozen=True)
class SourcePreparation:
    """Anaconda's install source; the step fetches it. ``offers`` queries the repositories that the
    VM uses.
    """

    recipe: Recipe
    found: FoundSource
    command_line: str
    source: Step
    offers: Offers | None = None

    @property
    def chains(self) -> tuple[tuple[Step, ...], ...]:
        """The only step."""
        return ((self.source,),)

    @property
    def asked(self) -> tuple[str, ...]:
        """The addresses that were queried."""
        return tuple(map(shown, self.found.asked))

    @property
    def addition(self) -> Addition | None:
        """Anaconda installs all packages itself."""
        return None

    def installed(self, kickstart: Rendered) -> Rendered:
        """Without comments."""
        return plain(kickstart)

    def inputs(self) -> Mapping[str, str]:
        """The inputs that affect an installation: what the source is, not how it is stored."""
        return {
            "installer": fingerprint.of(self.found.inputs()),
            "installer's command line": self.command_line,
        }

    def make(self, entries: Entries, start: Start) -> Callable[[], Prepared]:
        """Start fetching the source."""

        def fill(folder: Path, progress: Progress) -> str:
            return medium.make(self.found, folder, Cache(entries.store), progress, self.recipe.os.arch)

        entry = start(lambda: entries.make(self.source, fill))
        return lambda: self._prepared(entry.result())

    def _prepared(self, entry: Path) -> Prepared:
        there = medium.read(entry, self.found)
        return Prepared(
            tree=there.tree,
            disks=(SourceDisk(there.image, "medium", cdrom=True),) if there.image else (),
            payload=lambda address: boot_options.payload(self.recipe, address),
            made_from=medium.made_from(entry),
            served=there.served,
        )

    def kept(self, found: Mapping[str, Path]) -> tuple[dict[str, Path], Payload]:
        """Tree and medium. Raises HostError for a source that is served only while a build runs."""
        there = medium.read(found["source"], self.found)
        if there.served is not None:
            name = self.recipe.name
            raise HostError(f"{name} installs from {there.served}, which is served to the VM only while a build runs")
        return {TREE: there.tree, **({_MEDIUM: there.image} if there.image else {})}, boot_options.payload(self.recipe)


def look_up(recipe: Recipe, store: Store) -> FoundSource:
    """The current install source, and how it is verified."""
    return source.look_up(recipe)


def look_here(recipe: Recipe) -> None:
    """Nothing: the recipe contains all that the kickstart needs to know about its source."""


def plan(
    recipe: Recipe,
    looked: FoundSource,
    tools: Tools,
    check: Check,
    world: World | None,
) -> tuple[Checked, SourcePreparation]:
    """The kickstart, and the step that fetches the source."""
    code = fingerprint.code(*SOURCE_CODE)
    line = " ".join(boot_options.kernel_arguments(recipe))
    step = Step("source", "source", looked.what, {**looked.inputs(), "code": code})
    return check(boot_options.payload(recipe)), SourcePreparation(
        recipe, looked, line, step, _repositories(recipe, looked)
    )


def payloads(recipe: Recipe, looked: object) -> list[Payload]:
    """The only payload."""
    return [boot_options.payload(recipe)]


def supported(recipe: Recipe) -> Supported | None:
    """None: Anaconda supports its whole syntax."""
    return None


def packages(recipe: Recipe) -> None:
    """None: names of packages are not looked up in the metadata of repositories."""


def boot(recipe: Recipe) -> Boot:
    """Boot with the guest's firmware: Anaconda installs for the firmware that it finds.

    Its kernel is started directly, and is signed with a key that only the distribution's shim
    knows: so Secure Boot applies to the installed system, not to the installer. RHEL 9 and 10 need
    a newer CPU than QEMU's default, x86-64-v2 and -v3.
    """
    arguments, cpu = boot_options.kernel_arguments(recipe), Cpu(model="maximum")
    return Boot(arguments, "bios" if recipe.machine.firmware == "bios" else "uefi", cpu)


def disks(recipe: Recipe, folder: Path) -> tuple[SourceDisk, ...]:
    """The medium in the drive."""
    return (SourceDisk(folder / _MEDIUM, "medium", cdrom=True),) if boot_options.has_medium(recipe) else ()


def _repositories(recipe: Recipe, found: FoundSource) -> Offers | None:
    payload = boot_options.payload(recipe)
    assert isinstance(payload, TreePayload | CdromPayload)
    tree: RepositoryValues | None = payload.tree if isinstance(payload, TreePayload) else None
    # a folder of this host, or an image, which never changes
    if tree is not None and tree.url == boot_options.FOLDER_URL:
        tree = replace(tree, url=found.folder.as_uri()) if found.folder else None
    every = [*([tree] if tree else []), *payload.repositories]
    variables = {"$basearch": recipe.os.arch, "$releasever": recipe.os.version}
    # the packages of a tree may be in folders that its .treeinfo names, which is read anyway
    optional = tree if found.kind == "tree" else None
    return partial(repositories.offered, every, variables, optional) if every else None
