"""What an SBOM says, in neither format: the image, its system, its packages, and the files of none."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from imagebuild.contents.inventory import Inventory, PackageRecord, SystemRelease
from imagebuild.errors import UsageError
from imagebuild.printable import one_line
from imagebuild.sbom import licences
from imagebuild.sbom.purl import purl

_NAMESPACE = uuid.UUID("0e7b1f4e-5f3c-5b0a-9d4e-0f6f3a1f2c11")
"""Of the serial numbers: UUIDs of version 5 (RFC 9562, 5.5) of images' digests."""
_ADDRESS = re.compile(r"https?://[A-Za-z0-9._~:/?#@!$&'()*+,;=%-]+")
_MOST_FILES = 10_000
"""An application that is not a package may have hundreds of thousands, and each takes time and room."""
_LATEST = 253402300799
"""31 December 9999: the last second that a timestamp can have."""


@dataclass(frozen=True)
class BilledImage:
    """The image that an SBOM is about: ``digest`` is the SHA-256 of its file, ``made`` when it was
    made, in UTC, to the second."""

    name: str
    version: str
    file: str
    digest: str
    made: datetime


@dataclass(frozen=True)
class BilledPackage:
    """A package with its package URL and its licence expression; all texts are safe to print."""

    record: PackageRecord
    purl: str
    licence: str


@dataclass(frozen=True)
class BilledFile:
    """A file of no package: ``path`` is safe to print, ``quoted`` is its exact path as in a URL."""

    path: str
    quoted: str
    digest: str


@dataclass(frozen=True)
class Bill:
    """``missing`` says in sentences what is not known; it is empty for a complete bill."""

    image: BilledImage
    system: SystemRelease
    package_format: str
    packages: tuple[BilledPackage, ...]
    files: tuple[BilledFile, ...]
    missing: tuple[str, ...]

    @property
    def serial(self) -> uuid.UUID:
        """The same for the same image."""
        return uuid.uuid5(_NAMESPACE, self.image.digest)


def bill(inventory: Inventory, image: BilledImage) -> Bill:
    """What is known about an image."""
    system = SystemRelease(*map(one_line, vars(inventory.system).values()))
    missing = []
    records: Sequence[PackageRecord] = ()
    if inventory.installed is not None:
        records = inventory.installed
    elif inventory.packages is not None:
        records = [PackageRecord(name, version) for name, version in inventory.packages.items()]
        missing.append("Architectures, source packages, vendors and licences of the packages are not known.")
    else:
        missing.append("The packages are not known: the package database could not be read.")
    if inventory.unowned is None:
        missing.append("It is not known which files belong to no package.")
    unowned = inventory.unowned or ()
    if len(unowned) > _MOST_FILES:
        missing.append(f"{len(unowned) - _MOST_FILES} more files that belong to no package are not listed.")
    found = {one.purl: one for one in (_billed(each, inventory.package_format, system) for each in records)}
    return Bill(
        image,
        system,
        inventory.package_format,
        tuple(found[key] for key in sorted(found)),
        tuple(BilledFile(one_line(one.path), _quoted(one.path), one.sha256) for one in unowned[:_MOST_FILES]),
        tuple(missing),
    )


def _billed(record: PackageRecord, package_format: str, system: SystemRelease) -> BilledPackage:
    name, version, architecture, source, source_version, vendor, homepage = map(one_line, record[:7])
    clean = PackageRecord(
        name, version, architecture, source, source_version, vendor, homepage, record.size, record.licences
    )
    return BilledPackage(clean, purl(record, package_format, system).to_string(), licences.expression(record.licences))


def _quoted(path: str) -> str:
    return quote(path.encode("utf-8", "surrogateescape"))


def is_address(text: str) -> bool:
    """Whether a home page is an address that both formats accept."""
    return _ADDRESS.fullmatch(text) is not None


def moment(otherwise: datetime) -> datetime:
    """The timestamp of a document: SOURCE_DATE_EPOCH (reproducible-builds.org), or ``otherwise``.
    UsageError if the variable is no number of seconds."""
    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return otherwise.astimezone(UTC).replace(microsecond=0)
    if not (text.isascii() and text.isdigit() and len(text) < 13 and int(text) <= _LATEST):
        raise UsageError(
            f"SOURCE_DATE_EPOCH is {one_line(text)}, which is not a number of seconds since 1970",
            "unset it, or set it as `git log -1 --format=%ct` prints it",
        )
    return datetime.fromtimestamp(int(text), UTC)
