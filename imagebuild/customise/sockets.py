"""The folder in which libguestfs keeps its sockets: for root it is always below /tmp, whatever the
settings (lib/tmpdirs.c).

libguestfs removes it when its handle is closed, but not when its process is killed. The folder is
determined from the kernel: the address of a socket that the process itself listens on. No text that
somebody else could have written is parsed for it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from imagebuild.host.ownership import why_not_own

_SOCKET = "guestfsd.sock"
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class SocketFolder:
    """The folder, held open: nothing else can take its place until it is closed."""

    path: Path
    descriptor: int

    @property
    def identity(self) -> tuple[int, int]:
        """Device and inode."""
        status = os.fstat(self.descriptor)
        return status.st_dev, status.st_ino

    def remove(self) -> None:
        """Remove the folder, if it still exists, and close it."""
        with suppress(OSError):
            for name in os.listdir(self.descriptor):  # noqa: PTH208 - no path, so that it stays this folder
                os.unlink(name, dir_fd=self.descriptor)
            if os.path.samestat(os.fstat(self.descriptor), self.path.lstat()):
                self.path.rmdir()
        os.close(self.descriptor)


def held(path: Path, identity: tuple[int, int] | None = None) -> SocketFolder | None:
    """The folder ``path``, held open; None if it does not exist, does not belong to this user, or
    has a different identity."""
    try:
        descriptor = os.open(path, _OPEN)
    except OSError:
        return None
    folder = SocketFolder(path, descriptor)
    if why_not_own(os.fstat(descriptor)) or (identity is not None and folder.identity != identity):
        os.close(descriptor)
        return None
    return folder


def of_this_process() -> Iterator[Path]:
    """The folders in which this process listens as libguestfs does."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - only names are wanted
        with suppress(OSError):
            copy = os.dup(int(name))
            try:
                listening = socket.socket(fileno=copy)
            except OSError:
                os.close(copy)  # not a socket
                continue
            with listening:
                address = listening.getsockname()
            if isinstance(address, str) and os.path.basename(address) == _SOCKET:
                yield Path(address).parent
