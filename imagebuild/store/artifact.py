"""Artifacts: finished images with their manifest, checksums and logs, one folder per version.

    OUTPUT/<recipe>/<version>/<recipe>.qcow2 (or other formats), <recipe>.xml, manifest.json,
                              inventory.json.gz, <recipe>.cdx.json, <recipe>.spdx.json,
                              SHA256SUMS, kickstart.cfg, *.log,
                              provenance.intoto.json, provenance.sigstore.json and signatures of
                              SHA256SUMS if it was signed
    OUTPUT/<recipe>/latest -> <version>
    OUTPUT/<recipe>/good -> <version>      the last one that passed the gates of a nightly run

A version is the date and a counter (``2026-11-22.1``). The folder is filled under a temporary name,
fsynced and renamed; ``latest`` is switched last.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from imagebuild.errors import HostError
from imagebuild.files import read_record, remove_tree, sha256, sync, sync_tree

MANIFEST = "manifest.json"
CHECKSUMS = "SHA256SUMS"
LATEST = "latest"
GOOD = "good"
PROVENANCE = "provenance.intoto.json"
BUNDLE = "provenance.sigstore.json"
"""The same statement, signed by sigstore."""
GPG_SIGNATURE, SSH_SIGNATURE = f"{CHECKSUMS}.asc", f"{CHECKSUMS}.sig"
SIGNED = (CHECKSUMS, PROVENANCE, BUNDLE, GPG_SIGNATURE, SSH_SIGNATURE)
UNLISTED = frozenset(SIGNED)
"""Files of an artifact that SHA256SUMS does not list: what is in them depends on it."""
_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}\.\d+")
_UNFINISHED = re.compile(rf"\.({_VERSION.pattern}|{LATEST}|{GOOD})\.[0-9a-f]{{8}}")
"""Only such names may be removed: the folder may contain anything else, such as a repository."""


@dataclass(frozen=True, kw_only=True)
class ImageRecord:
    """An image in a manifest: sizes in bytes. What has a default may be missing from old manifests."""

    file: str
    format: str = "qcow2"
    compression: str = ""
    size: int
    virtual_size: int = 0
    sha256: str = ""


@dataclass(frozen=True)
class Manifest:
    """Of a manifest, what is read again; ``build/manifest.py`` writes it, with much more.
    ``extra_images`` are of further disks."""

    image: ImageRecord
    fingerprint: str = ""
    extra_images: tuple[ImageRecord, ...] = ()
    other_formats: tuple[ImageRecord, ...] = ()

    @property
    def images(self) -> tuple[ImageRecord, ...]:
        """All images, the system disk's first."""
        return self.image, *self.extra_images, *self.other_formats


@dataclass(frozen=True)
class Artifact:
    """A finished image in its folder."""

    folder: Path
    recipe: str
    version: str

    @property
    def image(self) -> Path:
        """The image of the system disk, in its first format."""
        return self.folder / self.manifest().image.file

    @property
    def domain(self) -> Path:
        """The libvirt domain definition of the machine that the image is for."""
        return self.folder / f"{self.recipe}.xml"

    def manifest(self) -> Manifest:
        """What its manifest says. Raises OSError, and ValueError for what is no manifest."""
        return read_record(self.folder / MANIFEST, Manifest)

    def has_images(self) -> bool:
        """Whether all its images are there, with the sizes in the manifest. Raises as :meth:`manifest`."""
        return all(_is_whole(self.folder, image) for image in self.manifest().images)


class ArtifactFolder:
    """The folder that contains one recipe's artifacts."""

    def __init__(self, root: Path, recipe: str) -> None:
        self.folder = root / recipe
        self.recipe = recipe

    def latest(self) -> Artifact | None:
        """The artifact that ``latest`` names, if it exists and is complete."""
        return self._named(LATEST)

    def newest(self) -> Artifact | None:
        """The newest version, if it is complete: newer than ``latest`` if a build was killed just before it
        switched that.
        """
        found = max(self._versions(), key=_version, default=None)
        return None if found is None else self._complete(found.name)

    def good(self) -> Artifact | None:
        """The artifact that passed its gates last, if it exists and is complete."""
        return self._named(GOOD)

    def lost_good(self) -> str:
        """The version that ``good`` names, if it is damaged or no longer there; ``good`` if it names none;
        empty if all is well, or there is no ``good``.
        """
        if self.good() is not None:
            return ""
        return self._target(GOOD) or (GOOD if os.path.lexists(self.folder / GOOD) else "")

    def make_latest(self, version: str) -> None:
        """Complete what a killed build began: make this version ``latest``."""
        self._point(LATEST, version)

    def make_good(self, version: str) -> None:
        """Record that a version has passed its gates."""
        self._point(GOOD, version)

    def _named(self, link: str) -> Artifact | None:
        return self._complete(self._target(link))

    def _target(self, link: str) -> str:
        """The version that a link names; empty if there is no such link."""
        with suppress(OSError):
            version = str((self.folder / link).readlink())
            return version if _VERSION.fullmatch(version) else ""
        return ""

    def _complete(self, version: str) -> Artifact | None:
        """The artifact of a version, if all its images are there."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            folder = self.folder / version
            if not _VERSION.fullmatch(version) or folder.is_symlink():
                return None  # it points elsewhere, and is not ours
            artifact = Artifact(folder, self.recipe, version)
            if artifact.has_images():
                return artifact
        return None

    def _versions(self) -> list[Path]:
        """The folders of all versions."""
        with suppress(FileNotFoundError):
            return [
                path
                for path in self.folder.iterdir()
                if _VERSION.fullmatch(path.name) and path.is_dir() and not path.is_symlink()
            ]
        return []

    @contextmanager
    def new(self, today: date) -> Iterator[Artifact]:
        """A folder to fill; leaving the block makes it the next version and ``latest``, an
        exception removes it.

        The artifact that the block gets has a temporary name; :meth:`latest` returns the final one.
        """
        self._make_folder()
        with self._filled(self._next_version(today)) as artifact:
            yield artifact
            write_checksums(artifact)

    @contextmanager
    def arriving(self, version: str) -> Iterator[Artifact]:
        """The same for an artifact that was built elsewhere as ``version``: it keeps its checksums, which may
        be signed. There must be no such version yet.
        """
        if not _VERSION.fullmatch(version):
            raise ValueError(f"{version!r} is not a version")
        self._make_folder()
        with self._filled(version) as artifact:
            yield artifact

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise HostError(
                f"cannot make {self.folder}: {error.strerror}", "choose another folder with --output"
            ) from error
        self._remove_unfinished()

    @contextmanager
    def _filled(self, version: str) -> Iterator[Artifact]:
        aside = self.folder / f".{version}.{secrets.token_hex(4)}"
        aside.mkdir(mode=0o700)  # until each file has its mode
        try:
            yield Artifact(aside, self.recipe, version)
            aside.chmod(stat.S_IMODE(self.folder.stat().st_mode))
            sync_tree(aside)
            aside.rename(self.folder / version)
            self._point(LATEST, version)
        except BaseException:
            remove_tree(aside)
            with suppress(OSError):
                self.folder.rmdir()  # only if nothing else is in it
            raise

    def adopt(self, made: Path, version: str) -> Artifact:
        """Make a copy of a finished artifact in the folder ``made`` this version, and the latest. One
        that is there already must be the same. The caller holds the lock of this folder. Raises
        HostError.
        """
        if not _VERSION.fullmatch(version):
            raise HostError(f"{version!r} is not the version of an artifact")
        fingerprint = Artifact(made, self.recipe, version).manifest().fingerprint
        there = self._complete(version)
        if there is None:
            self._copy(made, version)
        elif there.manifest().fingerprint != fingerprint:
            raise HostError(
                f"{self.folder} has another version {version}", "choose another folder with --output, or build again"
            )
        self._point(LATEST, version)
        return Artifact(self.folder / version, self.recipe, version)

    def _copy(self, made: Path, version: str) -> None:
        """Copy the regular files of a folder, and nothing else that may be in it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._remove_unfinished()
        aside = self.folder / f".{version}.{secrets.token_hex(4)}"
        aside.mkdir(mode=0o700)
        try:
            for path in sorted(made.iterdir()):
                if stat.S_ISREG(path.lstat().st_mode):
                    shutil.copy2(path, aside / path.name, follow_symlinks=False)
            _require_whole(Artifact(aside, self.recipe, version))
            aside.chmod(stat.S_IMODE(self.folder.stat().st_mode))
            sync_tree(aside)
            aside.rename(self.folder / version)
        except BaseException:
            remove_tree(aside)
            with suppress(OSError):
                self.folder.rmdir()  # only if nothing else is in it
            raise

    def unfinished(self) -> list[Path]:
        """Leftovers of killed builds. The caller must hold the lock of this folder, so that nobody
        else writes here.
        """
        return sorted(path for path in self.folder.glob(".*") if _UNFINISHED.fullmatch(path.name))

    def versions(self) -> list[Artifact]:
        """The finished artifacts, the newest first. Nothing in them is read."""
        found = sorted(self._versions(), key=_version, reverse=True)
        return [Artifact(path, self.recipe, path.name) for path in found]

    def superfluous(self, keep: int) -> list[Path]:
        """The folders of all versions except the ``keep`` newest; never that of ``latest`` or ``good``,
        even if it is damaged.
        """
        named = {self._target(LATEST), self._target(GOOD)}
        old = sorted(self._versions(), key=_version, reverse=True)[keep:]
        return [path for path in old if path.name not in named]

    def _remove_unfinished(self) -> None:
        for left in self.unfinished():
            remove_tree(left)

    def _next_version(self, today: date) -> str:
        taken = [path.name for path in self.folder.glob(f"{today.isoformat()}.*")]
        numbers = [int(name.rpartition(".")[2]) for name in taken if name.rpartition(".")[2].isdecimal()]
        return f"{today.isoformat()}.{max(numbers, default=0) + 1}"

    def _point(self, name: str, version: str) -> None:
        link = self.folder / f".{name}.{secrets.token_hex(4)}"
        link.symlink_to(version)
        link.rename(self.folder / name)
        sync(self.folder)


def _require_whole(artifact: Artifact) -> None:
    if not all(_is_whole(artifact.folder, image) for image in artifact.manifest().images):
        raise HostError(f"version {artifact.version} of {artifact.recipe} is not complete", "build it again")


def _is_whole(folder: Path, image: ImageRecord) -> bool:
    """Whether the image is in the folder itself, with the size in the manifest."""
    status = (folder / image.file).lstat()
    return "/" not in image.file and stat.S_ISREG(status.st_mode) and status.st_size == image.size


def _version(folder: Path) -> tuple[str, int]:
    day, _, number = folder.name.rpartition(".")
    return day, int(number)


def write_checksums(artifact: Artifact) -> None:
    """Write the file for ``sha256sum -c SHA256SUMS``, sha256sum(1). Images are not read again."""
    known = {image.file: image.sha256 for image in artifact.manifest().images}
    paths = sorted(path for path in artifact.folder.iterdir() if path.is_file() and path.name not in UNLISTED)
    lines = (f"{known.get(path.name) or sha256(path)}  {path.name}\n" for path in paths)
    sums = artifact.folder / CHECKSUMS
    sums.write_text("".join(lines))
    sums.chmod(0o644)
