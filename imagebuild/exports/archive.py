"""Members of tar archives whose bytes depend only on what is archived."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import IO, Any

from imagebuild.image.formats import CHUNK
from imagebuild.progress import Progress

UNDER_USTAR = 1 << 33
"""A file of this size, 8 GiB, or more does not fit into the ustar format."""


def opened(target: Any, tar_format: int) -> tarfile.TarFile:
    """A new archive that is written to ``target``, from front to back; the caller closes it."""
    return tarfile.TarFile(fileobj=target, mode="w", format=tar_format, copybufsize=CHUNK)


def member(name: str, size: int, time: int, *, mode: int = 0o644, owner: int = 0) -> tarfile.TarInfo:
    """A file of ``size`` bytes that belongs to user and group ``owner``, without their names."""
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode, info.uid, info.gid = size, time, mode, owner, owner
    return info


def add_text(archive: tarfile.TarFile, name: str, text: str, time: int) -> None:
    """Add a small file."""
    data = text.encode()
    archive.addfile(member(name, len(data), time), io.BytesIO(data))


def add_file(archive: tarfile.TarFile, info: tarfile.TarInfo, path: Path, progress: Progress) -> None:
    """Add the content of a file."""
    with path.open("rb") as file:
        archive.addfile(info, _Watched(file, info.size, progress))  # type: ignore[arg-type]  # only read() is called


class _Watched:
    """A file whose reading is reported."""

    def __init__(self, file: IO[bytes], size: int, progress: Progress) -> None:
        self._file = file
        self._size = size
        self._progress = progress
        self._done = 0

    def read(self, count: int) -> bytes:
        data = self._file.read(count)
        self._done += len(data)
        self._progress.update("packing", self._done / max(1, self._size))
        return data
