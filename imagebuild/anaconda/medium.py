"""Prepares an install source for the VM: kernel and initrd in a folder for virt-install, and the
medium in its drive.

All files are in a cache that all builds share, under their digests. Anaconda's runtime image is put
on a small ISO image with its ``.treeinfo``: so it is fetched once and verified here, instead of
being fetched by each VM without verification.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from imagebuild import fetch
from imagebuild.anaconda import treeinfo
from imagebuild.anaconda.boot_options import LABEL, is_url
from imagebuild.anaconda.source import ISO, File, FoundSource
from imagebuild.errors import ImageBuildError
from imagebuild.files import read_record, sha256, write_record
from imagebuild.image import iso
from imagebuild.progress import Progress
from imagebuild.step import UsedSource
from imagebuild.store.store import Store

_RECORD, _TREE, _MEDIUM, _SERVED = "medium.json", "tree", "medium.iso", "served"
_BOOT = (("images/pxeboot/vmlinuz", "images/pxeboot/initrd.img"), ("isolinux/vmlinuz", "isolinux/initrd.img"))
"""The paths of kernel and initrd in ISO images without a ``.treeinfo``."""


@dataclass(frozen=True)
class Medium:
    """The VM's part of a source: ``image`` is in its drive, ``served`` is a folder that it reaches
    as a tree.
    """

    tree: Path
    image: Path | None
    served: Path | None


@dataclass(frozen=True)
class _MediumRecord:
    """The files that an entry was made from."""

    made_from: tuple[UsedSource, ...]


class Cache:
    """The store's folder ``sources``: files under their digests, fetched once for all builds."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._folder = store.root / "sources"

    def bring(self, file: File, progress: Progress) -> Path:
        """The verified file; it is fetched, or copied from this host, if it is missing. Waits for a
        process doing so.
        """
        path = self._folder / file.key
        if path.is_file():
            return path
        self._folder.mkdir(exist_ok=True)
        with self._store.locked(
            f"source-{file.key[:40]}", lambda pid: progress.update(f"waiting for process {pid}, which is fetching it")
        ):
            if path.is_file():
                return path
            if is_url(file.place):
                fetch.download(file.place, path, file.digest, progress, largest=_largest(file))
            else:
                fetch.copy(Path(file.place), path, file.digest, progress)
        return path


def _largest(file: File) -> int:
    """The most bytes that such a file may have, so that a server cannot fill the disk."""
    return (64 if file.name == ISO else 4) << 30


def make(found: FoundSource, folder: Path, cache: Cache, progress: Progress, arch: str) -> str:
    """Fill ``folder``, a store entry, from a source. Returns a summary.

    Raises HostError, CommandFailed, and ImageBuildError for invalid content.
    """
    files = {file.name: cache.bring(file, progress) for file in found.files}
    tree = folder / _TREE
    (tree / treeinfo.KERNEL).parent.mkdir(parents=True)
    (tree / ".treeinfo").write_text(treeinfo.own(arch))
    if found.kind == "iso":
        _from_iso(found, files, folder, arch)
    else:
        _from_files(found, files, folder)
    write_record(folder / _RECORD, _MediumRecord(tuple(_used(file, files[file.name]) for file in found.files)))
    return f"{found.what}, {sum(path.stat().st_size for path in files.values()) >> 20} MiB"


def _used(file: File, path: Path) -> UsedSource:
    """A file for the manifest, with the SHA-256 of its actual content."""
    known = file.digest.value if file.digest is not None and file.digest.algorithm == "sha256" else sha256(path)
    return UsedSource(file.name, known, fetch.shown(file.place) if is_url(file.place) else None)


def _from_files(found: FoundSource, files: Mapping[str, Path], folder: Path) -> None:
    """Put kernel and initrd where virt-install finds them, and all other files on an image."""
    content = folder / "content"
    for name, path in files.items():
        target = (folder / _TREE if name in (treeinfo.KERNEL, treeinfo.INITRD) else content) / name
        target.parent.mkdir(parents=True, exist_ok=True)
        _link(path, target)
    if content.is_dir():
        if found.about:
            (content / ".treeinfo").write_text(found.about)
        iso.make(folder / _MEDIUM, LABEL, content)
        shutil.rmtree(content)


def _from_iso(found: FoundSource, files: Mapping[str, Path], folder: Path, arch: str) -> None:
    (image,) = files.values()
    iso.check(image)
    pair = _kernel_and_initrd(image, folder, arch)
    iso.extract(image, [(pair[0], folder / _TREE / treeinfo.KERNEL), (pair[1], folder / _TREE / treeinfo.INITRD)])
    if found.attach:
        _link(image, folder / _MEDIUM)
    else:
        iso.extract(image, [("/", folder / _SERVED)])


def _kernel_and_initrd(image: Path, folder: Path, arch: str) -> tuple[str, str]:
    """Their paths in an ISO image. Raises ImageBuildError if it has none for ``arch``."""
    if iso.has(image, ".treeinfo"):
        text = folder / "treeinfo"
        iso.extract(image, [(".treeinfo", text)])
        try:
            info = treeinfo.parse(text.read_text(errors="replace"), arch)
        except ValueError as error:
            raise ImageBuildError(f"cannot use the .treeinfo of the ISO image: {error}") from error
        text.unlink()
        return info.kernel, info.initrd
    for pair in _BOOT:
        if iso.has(image, pair[0]):
            return pair
    raise ImageBuildError("the ISO image has no installer: it contains neither a .treeinfo nor images/pxeboot")


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)


def read(folder: Path, found: FoundSource) -> Medium:
    """The result of :func:`make`."""
    image = folder / _MEDIUM
    served = folder / _SERVED if (folder / _SERVED).is_dir() else found.folder
    return Medium(folder / _TREE, image if image.exists() else None, served)


def made_from(folder: Path) -> tuple[UsedSource, ...]:
    """The files that an entry was made from."""
    return read_record(folder / _RECORD, _MediumRecord).made_from
