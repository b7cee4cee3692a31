"""A disk in layers: a raw disk, and on it overlays that each have what is different from the one below.

    disk.raw, disk.1.qcow2, disk.2.qcow2

All files of a disk are in one folder, and none of them changes once something stands on it. So a
folder takes over the layers of another one as hard links, which need no space, and does not depend
on that folder. An overlay names the file below it without a folder; its header is read here before
QEMU opens it, so that a damaged one cannot name any other file.
"""

from __future__ import annotations

import errno
import json
import os
import struct
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from imagebuild.errors import HostError, ImageBuildError
from imagebuild.host.process import run
from imagebuild.image import qemu_img
from imagebuild.image.disk_image import Format
from imagebuild.image.formats import CHUNK

CLUSTER = 4096
"""Bytes of an overlay's clusters: the blocks of most file systems. What a guest discards is dropped if
it is smaller than a cluster, and so would keep what was removed."""
LARGEST = 32 << 30
"""Bytes of a disk that is customised on an overlay: a free cluster takes 8 bytes of its tables, so
larger ones are copied."""
_LIMIT = 600.0
_MAGIC = b"QFI\xfb"
_HEAD = 104
_LONGEST_NAME = 1023
"""Bytes of the name of a backing file, as QEMU limits it."""
_BACKING_FORMAT = 0xE2792ACA
"""A header extension (docs/interop/qcow2.rst of QEMU)."""
_EXTERNAL_DATA = 1 << 2


@dataclass(frozen=True)
class Layers:
    """The files of a disk, the raw one first."""

    files: tuple[Path, ...]

    @property
    def top(self) -> Path:
        """The file with which the disk is opened."""
        return self.files[-1]

    @property
    def format(self) -> Format:
        """The format of that file."""
        return "raw" if len(self.files) == 1 else "qcow2"

    @property
    def size(self) -> int:
        """The size in bytes of the disk that a guest sees."""
        return self.files[0].stat().st_size


def found(folder: Path, name: str) -> Layers:
    """The layers of the disk whose raw file is called ``name``. HostError if they do not belong together."""
    files = [folder / name]
    while (path := folder / overlay_name(name, len(files))).exists():
        _check(path, files[-1])
        files.append(path)
    return Layers(tuple(files))


def below(top: Path, fmt: Format) -> Layers | None:
    """The layers of the disk that is opened with the file ``top``; None for an image of another kind. HostError
    if they do not belong together."""
    stem, _, number = top.stem.rpartition(".")
    if fmt == "raw":
        return Layers((top,))
    if not stem or not number.isdecimal() or not (top.parent / f"{stem}.raw").exists():
        return None
    return Layers(found(top.parent, f"{stem}.raw").files[: int(number) + 1])


def overlay_name(name: str, number: int) -> str:
    """The name of the overlay at this height: 1 is on the raw file."""
    return f"{Path(name).stem}.{number}.qcow2"


def on_top(source: Path, target: Path, names: Sequence[str]) -> list[Layers]:
    """Give the folder ``target`` the disks of ``source`` for changing them: as hard links with a new
    overlay on each, or, where the file system has no such links or a disk is large, as raw copies.

    All of them have the same format. What an earlier attempt has left in ``target`` is replaced.
    """
    below = [found(source, name) for name in names]
    tops = [target / overlay_name(name, len(one.files)) for name, one in zip(names, below, strict=True)]
    if all(one.size <= LARGEST for one in below) and all(linked(one, target) for one in below):
        for one, top in zip(below, tops, strict=True):
            top.unlink(missing_ok=True)
            _create(top, one)
        return [found(target, name) for name in names]
    for name, one in zip(names, below, strict=True):
        for path in (target / file.name for file in one.files):
            path.unlink(missing_ok=True)
        _copy(one, target / name)
    return [Layers((target / name,)) for name in names]


def linked(disk: Layers, folder: Path) -> bool:
    """Give a folder these layers as hard links. Returns whether the file system can do that."""
    for file in disk.files:
        link = folder / file.name
        try:
            link.unlink(missing_ok=True)
            link.hardlink_to(file)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS):
                raise
            return False
    return True


def _copy(disk: Layers, target: Path) -> None:
    if disk.format == "raw":
        qemu_img.copy_file(disk.top, target)
        return
    qemu_img.create_raw(target, disk.size)
    qemu_img.to_raw(disk.top, "qcow2", target)


def _create(overlay: Path, below: Layers) -> None:
    """Create an empty overlay, accessible to its owner only."""
    options = f"cluster_size={CLUSTER}"
    names = ["-F", below.format, "-b", below.top.name, overlay]
    run(["qemu-img", "create", "-q", "-f", "qcow2", "-o", options, *names], timeout=60)
    overlay.chmod(0o600)


def cluster_size(path: Path) -> int:
    """Bytes of a qcow2's clusters."""
    with path.open("rb") as file:
        head = file.read(24)
    if len(head) < 24 or not head.startswith(_MAGIC):
        raise HostError(f"{path} is not a qcow2 image")
    return 1 << min(int.from_bytes(head[20:24]), 31)


def _check(overlay: Path, below: Path) -> None:
    """HostError unless this is an overlay on the file ``below``, whose format it names."""
    with overlay.open("rb") as file:
        head = file.read(4096)
    wanted = (below.name.encode(), b"raw" if below.suffix == ".raw" else b"qcow2")
    if not head.startswith(_MAGIC) or len(head) < _HEAD or _named(head) != wanted:
        raise HostError(
            f"{overlay} is not an overlay on {below.name}", "remove its folder; what was in it is made again"
        )


def _named(head: bytes) -> tuple[bytes, bytes]:
    """The name and the format of the backing file; empty for what is missing or not as expected."""
    version, offset, length = struct.unpack(">IQI", head[4:20])
    features, end = struct.unpack(">Q", head[72:80])[0], struct.unpack(">I", head[100:104])[0]
    if version != 3 or features & _EXTERNAL_DATA or length > _LONGEST_NAME or offset + length > len(head):
        return b"", b""
    return head[offset : offset + length], _extension(head, end)


def _extension(head: bytes, at: int) -> bytes:
    while at + 8 <= len(head):
        kind, size = struct.unpack(">II", head[at : at + 8])
        if kind == _BACKING_FORMAT:
            return head[at + 8 : at + 8 + size]
        if kind == 0:
            break
        at += 8 + (size + 7) // 8 * 8
    return b""


class DiskReader:
    """A disk that is open for reading; ``size`` is in bytes."""

    def __init__(self, descriptors: Sequence[int], size: int, extents: Iterator[tuple[int, int, int, int]]) -> None:
        """``extents`` are where data is: its place on the disk, its length, the number of the descriptor
        and the place there."""
        self.size = size
        self._descriptors = descriptors
        self._extents = list(extents)
        self._starts = [one[0] for one in self._extents]

    def chunks(self) -> Iterator[tuple[int, Callable[[], bytes]]]:
        """The offsets of the chunks that are not entirely holes, in order, and what reads them, in any
        thread."""
        pieces: dict[int, list[tuple[int, int, int, int]]] = defaultdict(list)
        for at, length, number, offset in self._extents:
            for begin in range(at - at % CHUNK, at + length, CHUNK):
                first, last = max(at, begin), min(at + length, begin + CHUNK)
                pieces[begin].append((first - begin, last - first, number, offset + first - at))
        for begin in sorted(pieces):
            yield begin, partial(self._read, min(CHUNK, self.size - begin), pieces[begin])

    def stored(self) -> list[tuple[int, int]]:
        """Offset and length of what is no hole, in order; neighbours are one."""
        found: list[tuple[int, int]] = []
        for at, length, _, _ in self._extents:
            if found and sum(found[-1]) == at:
                found[-1] = (found[-1][0], found[-1][1] + length)
            else:
                found.append((at, length))
        return found

    def read(self, offset: int, length: int) -> bytes:
        """A part of the disk; shorter than ``length`` at its end."""
        end = min(offset + length, self.size)
        if end <= offset:
            return b""
        pieces = []
        for at, count, number, place in self._extents[max(0, bisect_right(self._starts, offset) - 1) :]:
            if at >= end:
                break
            first, last = max(at, offset), min(at + count, end)
            if first < last:
                pieces.append((first - offset, last - first, number, place + first - at))
        return self._read(end - offset, pieces)

    def _read(self, length: int, pieces: Sequence[tuple[int, int, int, int]]) -> bytes:
        data = bytearray(length)
        view = memoryview(data)
        for at, count, number, offset in pieces:
            part = view[at : at + count]
            if os.preadv(self._descriptors[number], [part], offset) != len(part):
                raise ImageBuildError("the disk shrank while it was being converted")
        return bytes(data)


@contextmanager
def opened(disk: Layers, *, in_use: bool = False) -> Iterator[DiskReader]:
    """Open the disk for reading while the block runs. One that is ``in_use`` by a machine must not be
    written to before where its data is has been read. Raises OSError, and CommandFailed for a damaged
    overlay."""
    with ExitStack() as files:
        descriptors = [files.enter_context(path.open("rb")).fileno() for path in disk.files]
        size = os.fstat(descriptors[0]).st_size
        extents = _data(descriptors[0], size) if disk.format == "raw" else _mapped(disk, size, in_use=in_use)
        yield DiskReader(descriptors, size, extents)


def _data(descriptor: int, size: int) -> Iterator[tuple[int, int, int, int]]:
    """The extents of a raw file."""
    end = 0
    while end < size:
        try:
            at = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # no data from here on
                return
            raise
        end = min(os.lseek(descriptor, at, os.SEEK_HOLE), size)
        if at < end:
            yield at, end - at, 0, at


def _mapped(disk: Layers, size: int, *, in_use: bool) -> Iterator[tuple[int, int, int, int]]:
    """The extents of a disk with overlays, as QEMU finds them."""
    shared = ["--force-share"] if in_use else []
    done = run(["qemu-img", "map", *shared, "-f", "qcow2", "--output", "json", disk.top], timeout=_LIMIT)
    for one in json.loads(done.stdout):
        if not one["data"] or one["zero"]:
            continue
        if "offset" not in one:
            raise ImageBuildError(f"{disk.top} has data that is not stored as it is")
        length = min(one["length"], size - one["start"])
        yield one["start"], length, len(disk.files) - 1 - one["depth"], one["offset"]
