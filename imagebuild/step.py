"""What an installer gives to a plan and to a build: the steps before an installation, how they are made, and how its machine boots.

An installer is a folder of this package with a module ``installer``, which has what ``Installer`` asks for; recipes choose it by the folder's name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
"""The install tree's name beside a script that installs by hand."""


@dataclass(frozen=True)
class Step:
    """One step of a build. ``kind`` is the store's name for its results."""

    name: str
    kind: str
    what: str
    inputs: Mapping[str, str]
    because: str = ""
    """Why the world makes an earlier result of it stale; empty if that does not."""

    @cached_property
    def fingerprint(self) -> str:
        return fingerprint.of(self.inputs)


Offers = Callable[[], Mapping[str, str]]
"""Looks at where packages come from: the name of each such place, and a digest of what it has now."""


@dataclass(frozen=True)
class Archive:
    """Packages that are taken from somewhere once, and kept in an entry of the store."""

    offers: Offers
    newer: Callable[[Path], Mapping[str, str]]
    """The packages of an entry of which there are newer ones now, with their versions."""
    file: Callable[[Path], Path]
    """The file of an entry whose time tells when the packages were taken."""


class Dated(NamedTuple):
    """The inputs of a step with the state of the world that counts; ``because`` says why it is another one than before."""

    inputs: dict[str, str]
    because: str = ""


class World(Protocol):
    """Tells which state of the world counts as an input."""

    def payload(self, archive: Archive, inputs: Mapping[str, str]) -> Dated:
        """The inputs of an archive of packages, with that state."""

    def installation(self, offers: Offers, inputs: Mapping[str, str]) -> Dated:
        """The inputs of an installation whose packages the VM fetches, with that state."""


@dataclass(frozen=True)
class Tools:
    """Versions of the programs that decide what a step's result is."""

    mmdebstrap: str
    libguestfs: str
    qemu: str


@dataclass(frozen=True)
class UsedSource:
    """Something the image was made from, by name and SHA-256; ``url`` where it came from one."""

    name: str
    sha256: str
    url: str | None = None


@dataclass(frozen=True)
class Prepared:
    """What an installation needs.

    ``tree`` is for virt-install, ``disks`` for the VM; ``served`` is a folder that the VM is to reach at an address, and ``payload`` tells for that
    address what the kickstart says. ``room`` are the bytes that the target must have, as far as that is known. ``made_from`` is for the manifest.
    """

    tree: Path
    disks: tuple[SourceDisk, ...]
    payload: Callable[[str], Payload]
    made_from: tuple[UsedSource, ...]
    served: Path | None = None
    room: int = 0


class Entries(Protocol):
    """The store's entries for the steps of one run."""

    @property
    def store(self) -> Store:
        """Where they are kept."""

    def find(self, step: Step) -> Path | None:
        """The entry of a step, proved, if there is one that may be used."""

    def make(self, step: Step, fill: Callable[[Path, Progress], str]) -> Path:
        """The entry of a step; ``fill`` makes it in the folder it is given and says what it made."""


class Start(Protocol):
    """Starts a function beside others."""

    def __call__(self, function: Callable[[], T]) -> Future[T]: ...


class Preparation(Protocol):
    """What must be there before an installation can start, as steps of a plan."""

    @property
    def chains(self) -> tuple[tuple[Step, ...], ...]:
        """The steps: those of a chain one after the other, the chains side by side."""

    @property
    def offers(self) -> Offers | None:
        """Looks at what the VM fetches packages from; None where all are there before it starts."""

    @property
    def asked(self) -> tuple[str, ...]:
        """The addresses that were looked at for it."""

    def inputs(self) -> Mapping[str, str]:
        """What of it can change an installation."""

    def make(self, entries: Entries, start: Start) -> Callable[[], Prepared]:
        """Start to make what is missing; what is returned tells of it once all that was started is done."""

    def kept(self, found: Mapping[str, Path]) -> tuple[dict[str, Path], Payload]:
        """From the entries of an earlier build, by their step: the files for an installation by hand, by the names they get, and what the kickstart says.

        Raises HostError where they do not do for that.
        """


Checked = tuple[Rendered, ParsedKickstart]
Check = Callable[[Payload], Checked]
"""Renders a recipe's kickstart for a payload, and checks it. Raises RecipeError."""


class Installer(Protocol):
    """A way to install what a recipe says: the module ``installer`` of a folder."""

    ASKS: bool
    """Whether it asks somebody for what its kickstart leaves out."""
    PROVES_PACKAGES: bool
    """Whether it proves what it takes from the addresses of ``url`` and ``repo``, whatever the way there."""
    HAS_PAYLOADS: bool
    """Whether recipes choose where its packages are unpacked (``installer.payload``)."""

    def look_up(self, recipe: Recipe, store: Store) -> Any:
        """What this host and the network say that a plan depends on. Raises HostError where that is out of reach."""

    def look_here(self, recipe: Recipe) -> Any:
        """The same for a kickstart that is only shown or checked: needs no network."""

    def plan(
        self, recipe: Recipe, looked: Any, tools: Tools, check: Check, world: World | None
    ) -> tuple[Checked, Preparation]:
        """The kickstart as planned, and the steps before the installation."""

    def payloads(self, recipe: Recipe, looked: Any) -> list[Payload]:
        """What a kickstart is rendered with to be looked at, the one that installs last."""

    def supported(self, recipe: Recipe) -> Supported | None:
        """Tells what of a kickstart the installer does not carry out; None if it does all that its syntax has."""

    def boot(self, recipe: Recipe) -> Boot:
        """How its machine starts."""

    def disks(self, recipe: Recipe, folder: Path) -> tuple[SourceDisk, ...]:
        """The machine's disks to install from, for the files of ``Preparation.kept`` in ``folder``."""
