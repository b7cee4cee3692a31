"""What is published: the files of an artifact, under the names that they get."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from imagebuild.errors import ImageBuildError, UsageError
from imagebuild.files import sha256
from imagebuild.publish import names
from imagebuild.publish.state import FirstBootSupport, Published, StoredFile
from imagebuild.store.artifact import MANIFEST, Artifact, ImageRecord

_UPSTREAM = re.compile(r"(?:[0-9]+:)?([0-9]{1,6})")
"""The first number of a package's version, behind the epoch."""


@dataclass(frozen=True)
class ReleaseFile:
    """A file to send: ``path`` is here, ``stored`` what it becomes there; ``virtual_size`` is the
    disk's, in bytes.
    """

    path: Path
    stored: StoredFile
    virtual_size: int


@dataclass(frozen=True)
class Release:
    """A version of a template that is to be published; the system disk is the first of ``files``.
    ``definition`` is the domain definition that lies beside the image, ``verdict`` that of the
    verification: passed, failed, or empty if there was none. ``read`` is the SHA-256 of each file of the
    artifact as it was read, ``provenance`` what goes into records.
    """

    template: str
    version: str
    files: tuple[ReleaseFile, ...]
    definition: str
    verdict: str
    fingerprint: str
    first_boot: FirstBootSupport | None = None
    read: Mapping[str, str] = field(default_factory=dict)
    provenance: str = ""

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(one.stored.size for one in self.files)

    def published(self, definition: str) -> Published:
        """The version as the record of a place has it, from now on."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        files = tuple(one.stored for one in self.files)
        about = (self.verdict, self.fingerprint, self.first_boot, self.provenance)
        return Published(self.version, files, definition, now, *about)


def release(artifact: Artifact, template: str = "") -> Release:
    """The release of an artifact; ``template`` is the recipe's name unless given.

    Every image is read: raises ImageBuildError if one is not what the manifest says, and UsageError if
    there is nothing to publish.
    """
    template = names.checked(template or artifact.recipe)
    version = names.checked(artifact.version, "version")
    try:
        manifest = artifact.manifest()
        written = (artifact.folder / MANIFEST).read_bytes()
        content = json.loads(written)
        verdict = str((content.get("verification") or {}).get("verdict", ""))
        first_boot = _support(content)
        machine = artifact.domain.read_bytes()
        definition = machine.decode()
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise UsageError(f"{artifact.folder} is not a complete artifact: {error}", "build it again") from error
    images = _qcow2(artifact, manifest.images)
    files = []
    read = {MANIFEST: hashlib.sha256(written).hexdigest(), artifact.domain.name: hashlib.sha256(machine).hexdigest()}
    for number, image in enumerate(images, start=1):
        disk = template if number == 1 else f"{template}-disk{number}"
        path = artifact.folder / image.file
        _check(path, image)
        read[image.file] = image.sha256
        stored = StoredFile(names.file_name(disk, version, image.sha256), image.size, image.sha256)
        files.append(ReleaseFile(path, stored, image.virtual_size))
    return Release(template, version, tuple(files), definition, verdict, manifest.fingerprint, first_boot, read)


def _support(content: Any) -> FirstBootSupport | None:
    """What the packages and the recipe in a manifest say; None if there are no packages in it."""
    packages, recipe = content.get("packages"), content.get("recipe") or {}
    if not packages:
        return None
    systemd = _UPSTREAM.match(str(packages.get("systemd", "")))
    adding = [call["add-ssh-keys"] for call in recipe.get("operations", ()) if "add-ssh-keys" in call]
    root_keys = bool((recipe.get("root") or {}).get("ssh_keys")) or any(
        one.get("user", "root") == "root" for one in adding
    )
    return FirstBootSupport("cloud-init" in packages, int(systemd[1]) if systemd else 0, root_keys)


def _qcow2(artifact: Artifact, images: tuple[ImageRecord, ...]) -> list[ImageRecord]:
    found = [image for image in images if image.format == "qcow2"]
    if not found:
        raise UsageError(
            f"{artifact.recipe} {artifact.version} has no qcow2 image, and templates are in this format",
            "add qcow2 to output.format of the recipe, and build it again",
        )
    return found


def _check(path: Path, image: ImageRecord) -> None:
    if "/" in image.file or path.is_symlink() or not path.is_file():
        raise UsageError(f"{path} is not there as a regular file", "build it again")
    if path.stat().st_size != image.size or sha256(path) != image.sha256:
        raise ImageBuildError(
            f"{path} was changed after it was built: its SHA-256 is not the one in {MANIFEST}",
            "build it again; nothing was published",
        )
