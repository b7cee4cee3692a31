"""The manifest and the inventory beside an image, as far as they belong to it.

Whoever passes on an image can put such files beside it. They are opened by their fixed names in the
image's own folder, without following links; no path in them is used, and each value is checked.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from imagebuild.contents.described import AppliedOperation, DescribedImage
from imagebuild.contents.encoding import INVENTORY, LARGEST, InventoryError, unpacked
from imagebuild.contents.inventory import Inventory
from imagebuild.store.artifact import MANIFEST

LARGEST_MANIFEST = 64 << 20
_SHA256 = re.compile("[0-9a-f]{64}")
_STRICT = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Not even a pipe or a device with that name makes the reader wait."""


class ManifestError(ValueError):
    """A file is no manifest; the message says why."""


@dataclass(frozen=True)
class ImageEntry:
    """An image in a manifest; ``file`` is a name without a folder, sizes are in bytes, and ``sha256``
    is empty if the manifest has none."""

    file: str
    format: str
    size: int
    virtual_size: int
    sha256: str = ""


@dataclass(frozen=True)
class ArtifactEntry:
    """What a manifest says about a guest. ``images`` are its system disk, in each format, and
    ``extra`` its further disks, in the first format. ``ended`` is when the build ended, in
    UTC; None if the manifest does not say it."""

    recipe: str
    version: str
    fingerprint: str
    images: tuple[ImageEntry, ...]
    extra: tuple[ImageEntry, ...]
    operations: tuple[AppliedOperation, ...]
    inventory_sha256: str
    ended: datetime | None = None


@dataclass(frozen=True)
class Beside:
    """What is beside an image and belongs to it: ``inventory`` is None if there is none that can be
    used, and ``why`` then says what is wrong, or is empty if there is just none."""

    manifest: ArtifactEntry
    image: ImageEntry
    inventory: Inventory | None
    why: str = ""


def of(image: Path) -> tuple[Beside | None, str]:
    """What belongs to ``image``; or None, and why there is nothing: empty if there is no manifest.

    A manifest belongs to an image that it names, if that has the size in the manifest.
    """
    try:
        found = manifest(image.parent)
    except ManifestError as error:
        return None, f"{MANIFEST} beside the image is not used: {error}"
    if found is None:
        return None, ""
    size = image.stat().st_size
    entry = next((one for one in found.images if one.file == image.name), None)
    if entry is None:
        return None, f"{MANIFEST} beside the image is not used: it belongs to other images"
    if entry.size != size:
        return None, f"{MANIFEST} beside the image is not used: the image has {size} bytes, not {entry.size}"
    try:
        inventory = _inventory(image.parent, found.inventory_sha256)
    except InventoryError as error:
        return Beside(found, entry, None, f"{INVENTORY} beside the image is not used: {error}"), ""
    return Beside(found, entry, inventory), ""


def described(image: Path, near: Beside, inventory: Inventory) -> DescribedImage:
    """The image as its ``inventory`` and the manifest beside it describe it."""
    return DescribedImage(
        image=str(image),
        format=near.image.format,
        file_size=near.image.size,
        virtual_size=near.image.virtual_size,
        source="inventory",
        inventory=inventory,
        recipe=near.manifest.recipe,
        version=near.manifest.version,
        fingerprint=near.manifest.fingerprint,
        operations=near.manifest.operations,
    )


def manifest(folder: Path) -> ArtifactEntry | None:
    """The manifest in a folder; None if there is none. ManifestError if it cannot be used."""
    try:
        content = content_of(folder / MANIFEST, LARGEST_MANIFEST)
        if content is None:
            return None
        return _checked(json.loads(content))
    except KeyError as error:
        raise ManifestError(f"it has no {error}") from error
    except RecursionError as error:
        raise ManifestError("it is not JSON") from error
    except (AttributeError, OverflowError, TypeError, ValueError) as error:  # a time can be out of range
        raise ManifestError(str(error) if isinstance(error, ManifestError) else "it is not a manifest") from error


def _inventory(folder: Path, sha256: str) -> Inventory | None:
    try:
        content = content_of(folder / INVENTORY, LARGEST)
    except ManifestError as error:
        raise InventoryError(str(error)) from error
    if content is None or not sha256:
        return None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise InventoryError("the manifest has another checksum for it")
    return unpacked(content)


def content_of(path: Path, limit: int) -> bytes | None:
    """The content of a regular file of at most ``limit`` bytes; None if there is none. Links are not
    followed. ManifestError if it cannot be used.
    """
    try:
        descriptor = os.open(path, _STRICT)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ManifestError("it is a link") from error
        raise ManifestError(str(error.strerror)) from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ManifestError("it is not a regular file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(limit + 1)
    finally:
        os.close(descriptor)
    if len(content) > limit:
        raise ManifestError("it is too large")
    return content


def _checked(data: Any) -> ArtifactEntry:
    extra = tuple(map(_image, _list(data.get("extra_images", []))))
    others = tuple(map(_image, _list(data.get("other_formats", []))))
    return ArtifactEntry(
        recipe=_text(data["name"]),
        version=_text(data["version"]),
        fingerprint=_text(data["fingerprint"]),
        # each further format has all disks, the system disk first
        images=(_image(data["image"]), *others[:: len(extra) + 1]),
        extra=extra,
        operations=tuple(map(_operation, _list(data.get("operations", [])))),
        inventory_sha256=_text(data.get("inventory_sha256", "")),
        ended=_moment(data.get("built", {}).get("ended", "")),
    )


def _image(data: Any) -> ImageEntry:
    name = _text(data["file"])
    if not name or name in (".", "..") or "/" in name or "\0" in name:
        raise ManifestError("it names an image in another folder")
    digest = _text(data.get("sha256", ""))
    digest = digest if _SHA256.fullmatch(digest) else ""
    return ImageEntry(name, _text(data["format"]), _number(data["size"]), _number(data["virtual_size"]), digest)


def _moment(value: Any) -> datetime | None:
    if not _text(value):
        return None
    found = datetime.fromisoformat(value)
    try:
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except OverflowError as error:  # in the first or last hours that Python knows
        raise ValueError(f"{value} is out of range") from error


def _operation(data: Any) -> AppliedOperation:
    return AppliedOperation(_text(data["name"]), _text(data["status"]), len(_list(data["changes"])))


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("not a list")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _number(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise TypeError("not a number")
    return value
