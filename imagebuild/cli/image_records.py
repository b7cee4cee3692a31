"""What ``inspect --json`` and ``diff --json`` print.

Paths and names are the guest's own. Sizes are in bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from imagebuild.contents.compare import PackageChanges, VersionChange
from imagebuild.contents.described import AppliedOperation
from imagebuild.contents.gates import FiredGate
from imagebuild.contents.inventory import DiskArea, DiskLayout, EnabledUnit, FolderSize, GuestAccount, SystemRelease
from imagebuild.events import JsonLine

Entry = TypeVar("Entry")
Change = TypeVar("Change")


@dataclass(frozen=True)
class ListedFile:
    """A path in the guest. ``kind`` is find's letter (f file, d folder, l link, p pipe, s socket, b
    and c devices), ``mode`` in octal digits; ``target`` is what a link contains, ``capabilities`` the
    attribute in hexadecimal, ``sha256`` empty for a file that was not read.
    """

    path: str
    kind: str
    mode: str
    uid: int
    gid: int
    size: int
    target: str
    capabilities: str
    sha256: str
    privileges: tuple[Literal["setuid", "setgid", "capabilities"], ...]


@dataclass(frozen=True, kw_only=True)
class ImageInspected(JsonLine):
    """What is in an image. ``source`` says whether its inventory was read or its disk.

    ``operations``, ``recipe``, ``version`` and ``fingerprint`` are from the manifest: null or empty if
    there is none. ``files`` is their number, with ``--all`` the list of them.
    """

    event: Literal["inspected"] = "inspected"
    image: str
    format: str
    file_size: int
    virtual_size: int
    source: Literal["inventory", "disk"]
    recipe: str
    version: str
    fingerprint: str
    operations: tuple[AppliedOperation, ...] | None
    system: SystemRelease
    package_format: str
    packages: dict[str, str] | None
    accounts: tuple[GuestAccount, ...]
    units: tuple[EnabledUnit, ...]
    kernels: tuple[str, ...]
    folders: tuple[FolderSize, ...]
    disks: tuple[DiskLayout, ...]
    volumes: tuple[DiskArea, ...]
    files: int | tuple[ListedFile, ...]
    used: int
    listening: tuple[str, ...]
    privileged: tuple[ListedFile, ...]


@dataclass(frozen=True)
class BeforeAfter(Generic[Entry]):
    """What both images have, but not alike."""

    old: Entry
    new: Entry


@dataclass(frozen=True)
class NamedChange(BeforeAfter[Entry]):
    """What both images have, but not alike; ``what`` names the fields that differ."""

    what: tuple[str, ...]


@dataclass(frozen=True)
class ChangedEntries(Generic[Entry, Change]):
    """What only one of the images has, and what both have but not alike."""

    added: tuple[Entry, ...]
    removed: tuple[Entry, ...]
    changed: tuple[Change, ...]


@dataclass(frozen=True)
class ChangedPrivileges:
    """Files that somebody who runs them gains privileges by, that did not have them before, and those
    that no longer have them.
    """

    gained: tuple[ListedFile, ...]
    lost: tuple[ListedFile, ...]


@dataclass(frozen=True, kw_only=True)
class ImagesCompared(JsonLine):
    """How the contents of image ``b`` differ from those of ``a``. ``same`` if they are alike; sizes
    (``file``, ``virtual``, ``used``) may differ. ``gates`` are the gates that ``b`` does not pass.
    """

    event: Literal["compared"] = "compared"
    a: str
    b: str
    same: bool
    gates: tuple[FiredGate, ...]
    system: tuple[VersionChange, ...]
    packages: PackageChanges
    kernels: ChangedEntries[str, BeforeAfter[str]]
    accounts: ChangedEntries[GuestAccount, NamedChange[GuestAccount]]
    units: ChangedEntries[EnabledUnit, BeforeAfter[EnabledUnit]]
    listening: ChangedEntries[EnabledUnit, BeforeAfter[EnabledUnit]]
    privileged: ChangedPrivileges
    files: ChangedEntries[ListedFile, NamedChange[ListedFile]]
    sizes: dict[str, BeforeAfter[int]]


@dataclass(frozen=True, kw_only=True)
class SbomWritten(JsonLine):
    """The software bill of materials of an image was written to ``file``. ``serial`` is the UUID in it,
    the same for the same image; ``packages`` and ``files`` are the numbers of packages and of files
    that belong to none; ``missing`` says in sentences what is not known.
    """

    event: Literal["sbom"] = "sbom"
    image: str
    format: Literal["cyclonedx", "spdx"]
    file: str
    serial: str
    packages: int
    files: int
    missing: tuple[str, ...]


def as_data(line: JsonLine) -> dict[str, Any]:
    """A line whose fields are data already, without the deep copy of asdict(): there may be very many
    files.
    """
    return dict(vars(line))
