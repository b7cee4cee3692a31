"""Makes the documents of an image, and writes those of an artifact."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from imagebuild.contents.inventory import Inventory
from imagebuild.errors import HostError, UsageError
from imagebuild.files import sha256, write_result
from imagebuild.sbom.bill import Bill, BilledImage, moment
from imagebuild.sbom.bill import bill as bill_of
from imagebuild.store import beside
from imagebuild.store.artifact import Artifact
from imagebuild.store.beside import Beside

Format = Literal["cyclonedx", "spdx"]
SUFFIXES: dict[Format, str] = {"cyclonedx": "cdx.json", "spdx": "spdx.json"}
"""What the names of the files end with, by which scanners know the format."""


def billed_image(image: Path, near: Beside | None) -> BilledImage:
    """The image in a file. ``near`` is what belongs to it; without it, the image is read for its
    digest, and its time is that of the file. UsageError for a wrong SOURCE_DATE_EPOCH.
    """
    modified = datetime.fromtimestamp(image.stat().st_mtime, UTC)
    if near is None:
        return BilledImage(image.name, "", image.name, sha256(image), moment(modified))
    about = near.manifest
    digest = near.image.sha256 or sha256(image)
    return BilledImage(about.recipe, about.version, image.name, digest, moment(about.ended or modified))


def bill(inventory: Inventory, about: BilledImage) -> Bill:
    """What the documents say about an image."""
    return bill_of(inventory, about)


def text(bill: Bill, form: Format) -> str:
    """A document in a format, in ASCII."""
    # each imported when it is needed: the library takes its time
    if form == "cyclonedx":
        from imagebuild.sbom import cyclonedx_document

        return cyclonedx_document.text(bill)
    from imagebuild.sbom import spdx_document

    return spdx_document.text(bill)


def write_documents(artifact: Artifact, into: Path | None = None) -> tuple[Path, ...]:
    """Write ``<recipe>.cdx.json`` and ``<recipe>.spdx.json`` of an artifact into its folder, or into
    another one, from the artifact's inventory. Returns their paths.

    Raises UsageError if there is no inventory that can be used, and HostError if they cannot be
    written.
    """
    near, why = beside.of(artifact.image)
    if near is None or near.inventory is None:
        reason = why or (near.why if near else "") or "it has no inventory"
        raise UsageError(
            f"there is no SBOM of {artifact.recipe} {artifact.version}: {reason}",
            f"`imagebuild sbom --from-disk {artifact.folder}` reads the disk",
        )
    made = bill(near.inventory, billed_image(artifact.image, near))
    folder = into or artifact.folder
    return tuple(write(folder / f"{artifact.recipe}.{suffix}", text(made, form)) for form, suffix in SUFFIXES.items())


def write(path: Path, content: str) -> Path:
    """Write a document. A file is replaced; to a pipe or a device, it is written. HostError if that is
    not possible.
    """
    try:
        write_result(path, content)
    except OSError as error:
        raise HostError(f"cannot write {path}: {error.strerror}", "choose another file or make room") from error
    return path
