"""Writes any number of images in one pass over a raw disk.

Each thread reads a chunk and compresses it for every image; zlib, zstd and SHA-256 release the
interpreter's lock. The chunks are then written in the order of the disk, so the bytes of an image
do not depend on the number of threads. Holes in the disk are not read, and zeros are not stored.

vhdx is written by qemu-img, which does not compress it and assigns new identifiers each time.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import zstandard

from imagebuild.errors import ImageBuildError, from_os
from imagebuild.files import sha256
from imagebuild.image import layers, one_pass, qemu_img
from imagebuild.image.formats import Compression, FinishedImage, Format, Writer, compression_of
from imagebuild.image.layers import Layers
from imagebuild.image.qcow2 import Qcow2
from imagebuild.image.raw import Raw, RawZst
from imagebuild.image.vmdk import Vmdk
from imagebuild.progress import SILENT, Progress

_STREAMED: dict[str, Callable[[Path, int], Writer]] = {"raw": Raw, "raw.zst": RawZst, "vmdk": Vmdk}


def convert(
    source: Path | Layers,
    targets: Mapping[Format, Path],
    *,
    compression: Compression = "zstd",
    progress: Progress = SILENT,
    threads: int | None = None,
) -> dict[Format, FinishedImage]:
    """Write the disk ``source``, a raw file or layers, in each of the formats, and check the images. ``compression``
    applies to qcow2.

    ``threads`` defaults to the number of processors that this process may use. Raises
    ImageBuildError; after an error or an interruption, none of the images remains.
    """
    if there := [path for path in targets.values() if path.exists()]:
        raise ImageBuildError(f"{there[0]} already exists")
    try:
        disk = source if isinstance(source, Layers) else Layers((source,))
        digests = _written(disk, targets, compression, progress, threads)
        return {name: _image(name, path, compression, digests[name]) for name, path in targets.items()}
    except BaseException as error:
        for path in targets.values():
            with suppress(OSError):
                path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = error.filename or str(next(iter(targets.values())).parent)
            raise from_os(error) from error
        raise


def compressors() -> str:
    """The versions of the libraries that determine the compressed data."""
    return f"zlib {zlib.ZLIB_RUNTIME_VERSION}, zstd {'.'.join(map(str, zstandard.ZSTD_VERSION))}"


def _written(
    source: Layers, targets: Mapping[Format, Path], compression: Compression, progress: Progress, threads: int | None
) -> dict[Format, str]:
    """Write the images and return their digests."""
    digests: dict[Format, str] = {}
    with layers.opened(source) as disk, ExitStack() as files:
        writers: dict[Format, Writer] = {}
        for name, path in targets.items():
            if name != "vhdx":
                writers[name] = files.enter_context(closing(_writer(name, path, disk.size, compression)))
        if writers:
            one_pass.write(disk.chunks(), disk.size, tuple(writers.values()), progress, threads)
        digests.update((name, writer.finish()) for name, writer in writers.items())
    if "vhdx" in targets:
        targets["vhdx"].touch(mode=0o600)
        qemu_img.convert(source.top, targets["vhdx"], "vhdx", progress=progress, source_format=source.format)
        digests["vhdx"] = sha256(targets["vhdx"])
    return digests


def _writer(name: Format, path: Path, size: int, compression: Compression) -> Writer:
    if name == "qcow2":
        return Qcow2(path, size, compression)
    return _STREAMED[name](path, size)


def _image(name: Format, path: Path, compression: Compression, digest: str) -> FinishedImage:
    if name in ("qcow2", "vmdk", "vhdx"):
        qemu_img.check(path, name)
    return FinishedImage(path, name, compression_of(name, compression), path.stat().st_size, digest)
