"""The lock on a storage pool of a libvirt host: libvirt has none, so a small volume is it.

Who creates the volume has the lock. Its content says who that is, and changes all the time while the
owner is alive. A lock whose content does not change for a while belongs to a dead publisher, and is
taken over. A publisher on this computer is known to be dead at once: it also held a lock on a file
here, which ends with its process.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from imagebuild.errors import HostError, ImageBuildError
from imagebuild.host import locks
from imagebuild.host.libvirt_host import LibvirtHost, VolumeExistsError
from imagebuild.host.ownership import why_not_private

NAME = "imagebuild--lock"
"""The volume; no published file can have this name."""
_SIZE = 4096
_BEAT = 10.0
"""Seconds between two changes of the content."""
STALE = 60.0
"""Seconds without a change after which the owner counts as dead."""
EMPTY = 10.0
"""The same for a lock without content: its owner died before it wrote, which it does at once."""
_PATIENCE = 1800.0
"""Seconds to wait for a living owner."""
_LOOK = 2.0


class Lease:
    """A lock that is held; ``check`` raises HostError if somebody took it over."""

    def __init__(self, host: LibvirtHost, pool: str, owner: str) -> None:
        self._host = host
        self._pool = pool
        self._token = secrets.token_hex(8)
        self._owner = owner
        self._beats = 0
        self._writing = threading.Lock()
        self._ended = threading.Event()

    def write(self) -> None:
        """Show that the owner is alive."""
        with self._writing:
            self._beats += 1
            content = json.dumps({"owner": self._owner, "token": self._token, "beat": self._beats})
            block = content.encode().ljust(_SIZE, b"\0")
            for _ in self._host.upload(self._pool, NAME, 0, [block], _SIZE):
                pass

    def check(self) -> None:
        """Raise HostError unless the lock is still this one; before anything is switched or removed."""
        with self._writing:
            found = _content(self._host, self._pool)
        if found.get("token") != self._token:
            raise HostError(
                f"{self._host.name}: another publisher took over the lock, because this one did not answer for long",
                "publish again; nothing was switched",
            )

    def keep_alive(self) -> None:
        """Write now and then, until :meth:`end`; for a thread."""
        while not self._ended.wait(_BEAT):
            with suppress(ImageBuildError):  # ``check`` will find out
                self.write()

    def abandon(self) -> None:
        """Remove a lock that this publisher may just have created, when it is interrupted. That of
        another one has a content; if it is removed before that is written, its owner finds out.
        """
        if _content(self._host, self._pool).get("token", self._token) == self._token:
            self._host.delete_volume(self._pool, NAME)

    def end(self) -> None:
        """Stop writing, and give the lock back if it is still this one."""
        self._ended.set()
        with suppress(ImageBuildError):
            self.check()
            self._host.delete_volume(self._pool, NAME)


@contextmanager
def leased(host: LibvirtHost, uri: str, pool: str) -> Iterator[Lease]:
    """Hold the lock on a pool. Raises HostError if another publisher has it for too long."""
    with _held_here(f"{uri} {pool}") as owner:
        lease = Lease(host, pool, owner)
        try:
            _claim(host, pool, owner)
            lease.write()
        except BaseException:
            with suppress(ImageBuildError):
                lease.abandon()
            raise
        thread = threading.Thread(target=lease.keep_alive, daemon=True, name="lease")
        thread.start()
        try:
            yield lease
        finally:
            lease.end()


def _claim(host: LibvirtHost, pool: str, owner: str) -> None:
    """Create the volume; waits for a living owner, and removes the volume of a dead one."""
    begin = changed = time.monotonic()
    seen: object = None
    while True:
        try:
            host.create_file(pool, NAME, _SIZE, 0o600)
            return
        except VolumeExistsError:
            now = time.monotonic()
        found = _content(host, pool)
        if found != seen:
            seen, changed = found, now
        if found.get("owner") == owner or now - changed > (STALE if found else EMPTY):
            # A file that libvirt does not know yet is in the way, too.
            host.refresh(pool)
            host.delete_volume(pool, NAME)
            seen = None
            continue
        if now - begin > _PATIENCE:
            raise HostError(f"{host.name}: another publisher has held the lock for {_PATIENCE / 60:.0f} min")
        time.sleep(_LOOK)


def _content(host: LibvirtHost, pool: str) -> dict[str, object]:
    """What the volume says; empty if it says nothing that can be used."""
    try:
        data = b"".join(host.download(pool, NAME, 0, _SIZE))[:_SIZE]
        found = json.loads(data.rstrip(b"\0"))
    except (ImageBuildError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


@contextmanager
def _held_here(what: str) -> Iterator[str]:
    """A lock on a file of this computer and user, which waits; yields what only its holder knows."""
    folder = Path(tempfile.gettempdir()) / f"imagebuild-locks-{os.geteuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    why = "it is a link" if folder.is_symlink() else why_not_private(folder.stat())
    if why is not None:
        raise HostError(f"{folder} cannot hold locks: {why}", "set TMPDIR to another folder")
    path = folder / hashlib.sha256(what.encode()).hexdigest()[:32]
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        locks.exclusive(descriptor)
        if not (known := os.pread(descriptor, 64, 0)):
            known = secrets.token_hex(16).encode()
            os.pwrite(descriptor, known, 0)
        yield known.decode("ascii", "replace")
    finally:
        os.close(descriptor)
