"""The interface between installers and plans and builds: the steps before an installation, how to
run them, and how the installer's machine boots.

An installer is a folder of this package with a module ``installer`` that implements ``Installer``.
Recipes select it by the folder's name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from imagebuild import fingerprint
from imagebuild.kickstart.check import ParsedKickstart, Supported
from imagebuild.kickstart.render import Payload, Rendered
from imagebuild.machine.install_vm import Boot
from imagebuild.machine.virt_install import SourceDisk
from imagebuild.progress import Progress
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.store.store import Store

T = TypeVar("T")
TREE = "tree"
"""The name of the install tree next to a script for a manual installation."""
ROOT_ARCHIVE = "root archive"
"""The name of the source with the packages of an installation."""
FURTHER_PACKAGES = "further packages"
"""The name of the source with what was added to an installed disk that recipes share."""


@dataclass(frozen=True)
class Step:
    """One step of a build. ``kind`` is the store's name for its results."""

    name: str
    kind: str
    what: str
    inputs: Mapping[str, str]
    because: str = ""
    """Why a change outside the recipe makes an earlier result stale; empty if none does."""

    @cached_property
    def fingerprint(self) -> str:
        return fingerprint.of(self.inputs)


Offers = Callable[[], Mapping[str, str]]
"""Checks the package sources: returns the name of each, and a digest of what it offers now."""


@dataclass(frozen=True)
class Archive:
    """Packages that are fetched once and stored in an entry of the store."""

    offers: Offers
    newer: Callable[[Path], Mapping[str, str]]
    """The packages of an entry that have newer versions now, with those versions."""
    file: Callable[[Path], Path]
    """The file of an entry whose modification time says when the packages were fetched."""


class Dated(NamedTuple):
    """The inputs of a step, including the state of its package sources; ``because`` says why that
    state changed.
    """

    inputs: dict[str, str]
    because: str = ""


class World(Protocol):
    """Decides which state of the package sources counts as an input."""

    def payload(self, archive: Archive, inputs: Mapping[str, str]) -> Dated:
        """The inputs of an archive of packages, including that state."""

    def installation(self, offers: Offers, inputs: Mapping[str, str]) -> Dated:
        """The inputs of an installation whose packages the VM fetches, including that state."""

    def refused(self, step: Step) -> bool:
        """Whether it is known that the result of ``step`` cannot be added to an installed disk."""


@dataclass(frozen=True)
class Tools:
    """Versions of the programs that a step's result depends on."""

    mmdebstrap: str
    libguestfs: str
    qemu: str


@dataclass(frozen=True)
class UsedSource:
    """A source of the image, by name and SHA-256; ``url`` if it was downloaded."""

    name: str
    sha256: str
    url: str | None = None


@dataclass(frozen=True)
class AddedFiles:
    """Files that are added to an installed disk: a tar archive with its SHA-256, and the description of
    what they replace (``imagebuild.customise.additions``).
    """

    archive: Path
    description: Path
    sha256: str


@dataclass(frozen=True)
class Prepared:
    """What an installation needs.

    ``tree`` is for virt-install, ``disks`` for the VM. ``served`` is a folder that is served to the
    VM, and ``payload`` returns the kickstart's payload for the URL of that folder. ``room`` is the
    number of bytes that the target must have, as far as known. ``made_from`` is for the manifest.
    """

    tree: Path
    disks: tuple[SourceDisk, ...]
    payload: Callable[[str], Payload]
    made_from: tuple[UsedSource, ...]
    served: Path | None = None
    room: int = 0
    identified: Callable[[str], tuple[str, ...]] | None = None
    """The kernel arguments with which the installer derives the identifiers of disks from a digest;
    None if it cannot.
    """
    write_ahead: Callable[[Any, Sequence[Path], Sequence[str]], tuple[str, ...]] | None = None
    """Writes what can be installed without the VM into the new target disks: it gets pykickstart's handler, the
    disks, and the arguments of the VM's kernel, and returns further ones. None if nothing can be.
    """


class Entries(Protocol):
    """The store's entries for the steps of one run."""

    @property
    def store(self) -> Store:
        """The store that contains the entries."""

    def find(self, step: Step) -> Path | None:
        """The verified entry of a step, if there is one that may be used."""

    def fetch(self, step: Step) -> Path | None:
        """The verified entry of a step, if this store has it or a remote store does."""

    def make(self, step: Step, fill: Callable[[Path, Progress], str]) -> Path:
        """The entry of a step; ``fill`` creates it in the folder that it gets, and returns a
        summary.
        """


@dataclass(frozen=True)
class Addition:
    """The step that makes what is added to the installed disk before it is customised."""

    step: Step
    make: Callable[[Entries], AddedFiles]
    """Find or make it. Raises NotShareable."""


class Start(Protocol):
    """Starts a function concurrently with others."""

    def __call__(self, function: Callable[[], T]) -> Future[T]: ...


class Preparation(Protocol):
    """What must exist before an installation can start, as steps of a plan."""

    @property
    def chains(self) -> tuple[tuple[Step, ...], ...]:
        """The steps: those of one chain run one after the other, the chains run in parallel."""

    @property
    def offers(self) -> Offers | None:
        """Checks the sources that the VM fetches packages from; None if all packages exist before
        it starts.
        """

    @property
    def asked(self) -> tuple[str, ...]:
        """The URLs that were checked for it."""

    @property
    def addition(self) -> Addition | None:
        """What is added to the disk after the installation, if it is one that recipes share."""

    def inputs(self) -> Mapping[str, str]:
        """The parts of it that can change an installation."""

    def installed(self, kickstart: Rendered) -> Rendered:
        """The kickstart that the machine gets: without what makes no difference for it."""

    def make(self, entries: Entries, start: Start) -> Callable[[], Prepared]:
        """Start the missing steps.

        The returned function returns the result once all of them have finished.
        """

    def kept(self, found: Mapping[str, Path]) -> tuple[dict[str, Path], Payload]:
        """The files for a manual installation, by the names they get, and the kickstart's payload.

        ``found`` are the entries of an earlier build by step. Raises HostError if they are not
        sufficient.
        """


Checked = tuple[Rendered, ParsedKickstart]
Check = Callable[[Payload], Checked]
"""Renders a recipe's kickstart for a payload and checks it. Raises RecipeError."""


@dataclass(frozen=True)
class PackageVerdict:
    """Which packages do not exist, each with a hint; and why others were not checked, if so."""

    unknown: Mapping[str, str]
    note: str = ""


class PackageSource(Protocol):
    """What an installer takes packages from. Equal sources have the same packages."""

    def check(self, names: Collection[str], store: Store | None, *, offline: bool) -> PackageVerdict:
        """Look up ``names``; what was found is cached in ``store``. Never raises for a source that
        cannot be reached, and does not use the network if ``offline``.
        """


class Installer(Protocol):
    """A way to install the system that a recipe describes: the module ``installer`` of a folder."""

    ASKS: bool
    """Whether it prompts for what its kickstart leaves out."""
    PROVES_PACKAGES: bool
    """Whether it verifies what it fetches from the URLs of ``url`` and ``repo``, regardless of the
    transport.
    """
    ASKS_SERVERS: bool
    """Whether a plan depends on what servers say now, and not only on this host."""
    HAS_PAYLOADS: bool
    """Whether recipes choose where its packages are unpacked (``installer.payload``)."""

    def look_up(self, recipe: Recipe, store: Store) -> Any:
        """The facts about this host and the network that a plan depends on.

        Raises HostError if they are unreachable.
        """

    def look_here(self, recipe: Recipe) -> Any:
        """The same for a kickstart that is only shown or checked; needs no network."""

    def plan(
        self, recipe: Recipe, looked: Any, tools: Tools, check: Check, world: World | None
    ) -> tuple[Checked, Preparation]:
        """The kickstart as planned, and the steps before the installation."""

    def payloads(self, recipe: Recipe, looked: Any) -> list[Payload]:
        """The payloads to render a kickstart with for checking; the one that installs is the last."""

    def supported(self, recipe: Recipe) -> Supported | None:
        """Reports what in a kickstart the installer does not support; None if it supports its whole
        syntax.
        """

    def packages(self, recipe: Recipe) -> PackageSource | None:
        """Where the names of packages can be looked up without building; None if nowhere."""

    def boot(self, recipe: Recipe) -> Boot:
        """How its machine starts."""

    def disks(self, recipe: Recipe, folder: Path) -> tuple[SourceDisk, ...]:
        """The machine's installation disks, for the files of ``Preparation.kept`` in ``folder``."""
