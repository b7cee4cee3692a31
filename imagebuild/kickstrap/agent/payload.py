"""Installs the target from a root archive (``liveimg``).

tar and the checksum read the archive in parallel, on separate processors; the second reader finds
the data in the page cache, so it is read only once. The checksum covers the whole file or device,
including the zeros that pad a device.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import threading
from contextlib import ExitStack, contextmanager
from typing import IO, TYPE_CHECKING

from . import zstd
from .command import ENVIRONMENT, Result, failure
from .errors import InstallError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from .plan import Liveimg

HOST_PAYLOAD = "/run/kickstrap/payload"
"""The disk with the root archive of the host, as init names it."""
BLOCK = 1024 * 1024
_TAR = ["tar", "--extract", "--file=-", "--blocking-factor=512", "--numeric-owner", "--same-permissions"]
_TAR += ["--xattrs", "--xattrs-include=*"]
_ACLS = "--acls"
"""Makes tar write an ACL for each file. mmdebstrap's archives have ACLs as extended attributes; without
this option they are kept, and under emulation unpacking takes a fifth less.
"""


def is_compressed(head: bytes) -> bool:
    """Whether an archive that starts with ``head`` is compressed with zstd. Raises InstallError if
    it is no archive.
    """
    if head.startswith(zstd.MAGIC):
        return True
    if head[257:262] == b"ustar":
        return False
    raise InstallError("the payload is neither a tar archive nor one compressed with zstd")


def unpack(
    liveimg: Liveimg,
    root: Path,
    *,
    room: int,
    log: Callable[[str], None],
    progress: Callable[[float], None],
    computed: str = "",
) -> None:
    """Unpack ``liveimg`` to ``root``, which has ``room`` free bytes; ``progress`` is called with
    0.0 to 1.0. ``computed`` is the digest of the host's own root archive: if it is this one, it is not
    computed again.

    Raises InstallError if it does not fit, is damaged, or has the wrong SHA-256 digest.
    """
    try:
        source = open(liveimg.path, "rb", buffering=0)  # noqa: PTH123, SIM115 - closed below
    except OSError as error:
        raise InstallError(f"cannot read the payload {liveimg.path}: {error.strerror}") from error
    with source:
        size = source.seek(0, os.SEEK_END)
        source.seek(0)
        if size > room:
            raise InstallError(
                f"the payload does not fit: it has {size >> 20} MiB, but the file systems have {room >> 20} MiB free"
            )
        ours = liveimg.sha256 == computed != ""
        argv = [*_TAR, *([] if ours else [_ACLS]), "-C", str(root)]
        log(f"run: {' '.join(argv)} < {liveimg.path}")
        checksum = _Checksum(liveimg.path) if liveimg.sha256 and not ours else None
        with ExitStack() as stack:
            stream: IO[bytes] = source
            if is_compressed(os.pread(source.fileno(), 512, 0)):
                stream = stack.enter_context(_decompressed(source))
            result = _extract(argv, stream, lambda: progress(os.lseek(source.fileno(), 0, os.SEEK_CUR) / size))
    for line in result.output.splitlines():
        log(f"tar: {line}")
    if checksum is not None and (digest := checksum.result()) != liveimg.sha256:
        raise InstallError(f"the payload's SHA-256 digest is {digest}, but the kickstart says {liveimg.sha256}")
    if "No space left on device" in result.output:
        raise InstallError("the payload does not fit: the target's file system is full")
    if result.status != 0:
        raise InstallError(f"cannot unpack the payload: {failure('tar', result)}")


@contextmanager
def _decompressed(source: IO[bytes]) -> Iterator[IO[bytes]]:
    """The decompressed frames of ``source``, without the padding zeros."""
    length = zstd.length(lambda count, offset: os.pread(source.fileno(), count, offset))
    head = subprocess.Popen(["head", f"--bytes={length}"], stdin=source, stdout=subprocess.PIPE, env=ENVIRONMENT)  # noqa: S603, S607
    unzstd = subprocess.Popen(["zstd", "-dcq"], stdin=head.stdout, stdout=subprocess.PIPE, env=ENVIRONMENT)  # noqa: S607
    assert head.stdout is not None
    head.stdout.close()
    with head, unzstd:
        assert unzstd.stdout is not None
        yield unzstd.stdout
        unzstd.stdout.close()
        if unzstd.wait() != 0:
            raise InstallError("the payload's zstd stream is damaged")


def _extract(argv: list[str], source: IO[bytes], progress: Callable[[], None]) -> Result:
    """Run tar with ``source`` as its standard input, whose position shows tar's progress."""
    with subprocess.Popen(  # noqa: S603 - argv is a list
        argv, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=ENVIRONMENT
    ) as tar:
        assert tar.stdout is not None
        output = tar.stdout
        messages: list[bytes] = []
        listener = threading.Thread(target=lambda: messages.extend(output), daemon=True)
        listener.start()
        while True:
            try:
                status = tar.wait(0.5)
                break
            except subprocess.TimeoutExpired:
                progress()
        listener.join()
    return Result(status, b"".join(messages[:100]).decode("utf-8", "replace"))


class _Checksum(threading.Thread):
    """Computes the SHA-256 digest of a whole file in parallel (hashlib releases the interpreter's
    lock).
    """

    def __init__(self, path: str) -> None:
        super().__init__(daemon=True)
        self._path = path
        self._digest = ""
        self.start()

    def run(self) -> None:
        hasher = hashlib.sha256()
        buffer = bytearray(BLOCK)
        view = memoryview(buffer)
        with open(self._path, "rb", buffering=0) as file:  # noqa: PTH123 - a device
            while count := file.readinto(buffer):
                hasher.update(view[:count])
        self._digest = hasher.hexdigest()

    def result(self) -> str:
        self.join()
        return self._digest
