"""Files over libvirt's streams: for hosts without a shell, or whose folder only the daemon may write.

The name is claimed by creating the volume, in its full size and empty. The bytes are written in order,
so what an upload that was cut off left is a right beginning followed by zeros; the next one goes on
there. Whether that is so is only sampled: the digest that is read back at the end decides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from imagebuild.errors import ImageBuildError
from imagebuild.host.libvirt_host import BLOCK, LibvirtHost, VolumeExistsError
from imagebuild.publish.protocol import Progress
from imagebuild.publish.state import StoredFile

_PROBE = 64 << 10
"""Bytes that are compared at one place."""
_MODE = 0o444
"""Nobody writes to a published file, not even a machine that was started with it by mistake."""


def uploaded(
    host: LibvirtHost, pool: str, path: Path, file: StoredFile, progress: Progress, *, mode: int = _MODE
) -> int:
    """Make the volume complete, and return how many bytes were written.

    Raises ImageBuildError if there is a file of this name with other content.
    """
    try:
        host.create_file(pool, file.name, file.size, mode)
        begin = 0
    except VolumeExistsError:
        begin = _resumed(host, pool, path, file)
    if begin == file.size:
        return 0
    for done in host.upload(pool, file.name, begin, _blocks(path, begin, file.size), file.size - begin):
        progress(begin + done, file.size)
    return file.size - begin


def read_back(host: LibvirtHost, pool: str, name: str, size: int, progress: Progress) -> str:
    """The SHA-256 of a volume's bytes, over the network; empty if there is no such volume."""
    if host.volume(pool, name) is None:
        return ""
    digest, done = hashlib.sha256(), 0
    for block in host.download(pool, name):
        digest.update(block)
        done += len(block)
        progress(done, size)
    return digest.hexdigest()


def _blocks(path: Path, begin: int, size: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(begin)
        rest = size - begin
        while rest and (block := file.read(min(BLOCK, rest))):
            rest -= len(block)
            yield block


def _resumed(host: LibvirtHost, pool: str, path: Path, file: StoredFile) -> int:
    """Where to go on: the first place where the volume does not have the file's bytes."""
    if host.volume(pool, file.name) is None:  # only the file is there, which libvirt has not seen yet
        host.refresh(pool)
    found = host.volume(pool, file.name)
    if found is None or found.physical != file.size:
        raise _other_bytes(host, file)
    with path.open("rb") as local:

        def same(at: int) -> bool:
            local.seek(at)
            wanted = local.read(_PROBE)
            got = _at(host, pool, file.name, at, len(wanted))
            if got != wanted and got.strip(b"\0") and not wanted.startswith(got.rstrip(b"\0")):
                raise _other_bytes(host, file)
            return got == wanted

        last = file.size - 1
        low, high = 0, last // _PROBE + 1  # blocks: all before low are right, the one at high is not
        if same(last // _PROBE * _PROBE):
            low = high
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if same(middle * _PROBE) else (low, middle)
    # the end may be right by chance while something before it is not: then all is read to find out
    if low * _PROBE >= file.size:
        whole = read_back(host, pool, file.name, file.size, lambda _done, _all: None) == file.sha256
        return file.size if whole else 0
    return low * _PROBE


def _at(host: LibvirtHost, pool: str, name: str, offset: int, length: int) -> bytes:
    return b"".join(host.download(pool, name, offset, length))[:length]


def _other_bytes(host: LibvirtHost, file: StoredFile) -> ImageBuildError:
    return ImageBuildError(
        f"{host.name} has a volume {file.name} with other content, which was not written by a publish of this version",
        "remove it if nothing needs it: virsh vol-delete, or `imagebuild prune`",
    )
