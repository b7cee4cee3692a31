"""A remote store on an SFTP server, by OpenSSH's ssh: fsspec's own SFTP, with paramiko, accepts any host
key.
"""

from __future__ import annotations

import secrets
import stat
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from imagebuild.errors import HostError
from imagebuild.printable import one_line
from imagebuild.remote.place import STALL, StoredObject, too_large
from imagebuild.storage.sftp_packets import OPEN_CREATE, OPEN_EXCLUSIVE, OPEN_READ, OPEN_WRITE, Code
from imagebuild.storage.sftp_session import SftpError, SftpSession, connected
from imagebuild.storage.ssh_command import subsystem

if TYPE_CHECKING:
    from imagebuild.project.shared_store import SharedStore


class SftpPlace:
    """A folder of an SFTP server, which is never created."""

    writable = True
    threads = 1
    """One connection sends one object at a time, in many packets."""

    def __init__(self, name: str, entry: SharedStore, folder: Path) -> None:
        place = entry.parsed
        self._name, self._root = name, place.path
        identity = folder / Path(entry.identity_file).expanduser() if entry.identity_file else None
        known = folder / Path(entry.known_hosts_file).expanduser() if entry.known_hosts_file else None
        self._argv = subsystem("sftp", place.host, place.user, place.port, identity, known)
        self._turn = threading.RLock()
        self._open = ExitStack()
        self._session: SftpSession | None = None

    @contextmanager
    def _connected(self) -> Iterator[SftpSession]:
        with self._turn:
            if self._session is None or not self._session.usable:
                self.close()
                session = self._open.enter_context(connected(self._argv, self._name, STALL))
                found = session.attributes(self._root)
                if found is None or found.mode is None or not stat.S_ISDIR(found.mode):
                    raise HostError(
                        f"the remote store {self._name} is not there", f"create the folder {one_line(self._root)} there"
                    )
                self._session = session
            yield self._session

    def read(self, name: str, limit: int) -> bytes | None:
        path = f"{self._root}/{name}"
        with self._connected() as session:
            if session.file(path) is None:
                return None
            try:
                with session.opened(path, OPEN_READ) as file:
                    content = file.read(0, min(file.size(), limit + 1))
            except SftpError as error:
                if error.code == Code.NO_SUCH_FILE:
                    return None
                raise
        if len(content) > limit:
            raise too_large(name, limit)
        return content

    def size(self, name: str) -> int | None:
        with self._connected() as session:
            found = session.file(f"{self._root}/{name}")
            return None if found is None else found.size

    def write(self, name: str, content: bytes) -> None:
        *folders, last = name.split("/")
        parent = "/".join([self._root, *folders])
        aside = f"{parent}/.{last}.{secrets.token_hex(4)}.part"
        with self._connected() as session:
            try:
                self._fill(session, aside, content)
            except SftpError as error:
                if error.code != Code.NO_SUCH_FILE:
                    raise
                for depth in range(len(folders)):
                    session.make_folder("/".join([self._root, *folders[: depth + 1]]))
                self._fill(session, aside, content)
            try:
                session.replace(aside, f"{parent}/{last}")
            except HostError:
                with suppress(HostError):
                    session.remove(aside)
                raise

    def _fill(self, session: SftpSession, aside: str, content: bytes) -> None:
        try:
            with session.opened(aside, OPEN_WRITE | OPEN_CREATE | OPEN_EXCLUSIVE, 0o644) as file:
                file.write(0, content)
                file.sync()
        except HostError:
            with suppress(HostError):
                session.remove(aside)
            raise

    def listing(self, prefix: str) -> Iterator[StoredObject]:
        with self._connected() as session:
            found = list(self._below(session, prefix))
        yield from found

    def _below(self, session: SftpSession, name: str) -> Iterator[StoredObject]:
        path = f"{self._root}/{name}"
        if session.attributes(path) is None:
            return
        for inner, about in list(session.listing(path)):
            if inner in (".", "..") or "/" in inner or about.mode is None:
                continue
            if stat.S_ISDIR(about.mode):
                yield from self._below(session, f"{name}/{inner}")
            elif about.is_file:
                yield StoredObject(f"{name}/{inner}", about.size or 0, float(about.modified or 0))

    def remove(self, name: str) -> None:
        with self._connected() as session:
            session.remove(f"{self._root}/{name}")

    def close(self) -> None:
        with self._turn:
            self._session = None
            self._open.close()
