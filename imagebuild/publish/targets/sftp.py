"""Publishes to an SFTP server.

SFTP cannot make a server read its own files: digests are read back over the network, from whatever
the server gives its readers.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from imagebuild.errors import HostError, ImageBuildError
from imagebuild.project.model import StorageTarget
from imagebuild.publish.protocol import Progress
from imagebuild.publish.release import ReleaseFile
from imagebuild.publish.state import LARGEST, StoredFile, TemplateState
from imagebuild.publish.targets import lease
from imagebuild.publish.targets.records import (
    LOCK,
    PART,
    Records,
    checked_file,
    published_name,
    record_name,
    template_of,
)
from imagebuild.publish.targets.resuming import BLOCK, sent
from imagebuild.storage.sftp_packets import (
    OPEN_CREATE,
    OPEN_EXCLUSIVE,
    OPEN_READ,
    OPEN_WRITE,
    Code,
)
from imagebuild.storage.sftp_session import STALL, SftpError, SftpFile, SftpSession, connected
from imagebuild.storage.ssh_command import subsystem


class SftpTarget:
    """A folder of an SFTP server; ``patience`` is how many seconds to wait for its lock, ``stall`` for
    how many the server may be silent.
    """

    def __init__(
        self, name: str, entry: StorageTarget, folder: Path, patience: float = lease.PATIENCE, stall: float = STALL
    ) -> None:
        place = entry.parsed
        self.name = name
        self._root = place.path
        self._argv = subsystem(
            "sftp", place.host, place.user, place.port, _path(folder, entry.identity_file),
            _path(folder, entry.known_hosts_file),
        )  # fmt: skip
        self._patience, self._stall = patience, stall
        self._records = Records(name, entry.url)
        self._lost = lease.Lost(name)
        self._open: SftpSession | None = None

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}"

    @contextmanager
    def _session(self) -> Iterator[SftpSession]:
        """The session of the lock, or a new one."""
        if self._open is not None and self._open.usable:
            yield self._open
        else:
            with connected(self._argv, self.name, self._stall) as session:
                yield session

    @contextmanager
    def lock(self) -> Iterator[None]:
        owner = lease.this_process()
        self._lost = lease.Lost(self.name)
        with self._session() as session:
            self._open = session
            try:
                self._take(session, owner)
                try:
                    self._clean(session)
                    with lease.renewed(lambda: self._renew(owner), self._lost):
                        yield
                finally:
                    with suppress(HostError):
                        self._release(owner)
            finally:
                lease.given_up(owner)
                self._open = None

    def _take(self, session: SftpSession, owner: lease.Owner) -> None:
        end, mine = time.monotonic() + self._patience, self._at(f"{LOCK}.{owner.token}")
        try:
            while not self._try(session, owner, mine):
                if time.monotonic() > end:
                    raise lease.taken(
                        self.name, _read(session, self._at(LOCK), lease.LARGEST_LOCK) or b"", self._patience
                    )
                time.sleep(lease.POLL)
        finally:
            with suppress(HostError):
                session.remove(mine)

    def _try(self, session: SftpSession, owner: lease.Owner, mine: str) -> bool:
        """Give a complete file the lock's name; a stale lock is moved away first."""
        _write(session, mine, owner.encoded(), OPEN_CREATE)
        try:
            session.rename(mine, self._at(LOCK))
            return True
        except SftpError as error:
            if error.code != Code.FAILURE:
                raise
        now, held = session.attributes(mine), session.attributes(self._at(LOCK))
        content = _read(session, self._at(LOCK), lease.LARGEST_LOCK)
        if now is None or held is None or content is None or now.modified is None or held.modified is None:
            return False
        if not lease.is_stale(content, now.modified - held.modified):
            return False
        aside = f"{mine}.stale"
        try:
            session.rename(self._at(LOCK), aside)
        except SftpError as error:
            if error.code != Code.NO_SUCH_FILE:  # somebody else moved it
                raise
            return False
        if _read(session, aside, lease.LARGEST_LOCK) != content:  # somebody was faster: give it back
            with suppress(SftpError):
                session.rename(aside, self._at(LOCK))
        session.remove(aside)
        return False

    def _clean(self, session: SftpSession) -> None:
        """Remove what publishers left that were killed while they waited."""
        about = session.attributes(self._at(LOCK))
        now = (about.modified if about else None) or 0
        for name, one in list(session.listing(self._root)):
            if name.startswith(f"{LOCK}.") and one.modified is not None and now - one.modified > lease.LEASE:
                session.remove(self._at(name))

    def _renew(self, owner: lease.Owner) -> bool:
        with self._session() as session:
            if session.file(self._at(LOCK)) is None:
                return False
            with session.opened(self._at(LOCK), OPEN_READ | OPEN_WRITE) as file:  # never the file of a new owner
                if file.read(0, lease.LARGEST_LOCK) != owner.encoded():
                    return False
                file.write(0, owner.encoded())
            return True

    def _release(self, owner: lease.Owner) -> None:
        with self._session() as session:
            if _read(session, self._at(LOCK), lease.LARGEST_LOCK) == owner.encoded():
                session.remove(self._at(LOCK))

    def templates(self) -> list[str]:
        with self._session() as session:
            found = [template_of(name) for name, about in session.listing(self._root) if about.is_file]
        return sorted({template for template in found if template})

    def state(self, template: str) -> TemplateState | None:
        with self._session() as session:
            return self._records.read(template, self._record(session, template))

    def _record(self, session: SftpSession, template: str) -> bytes | None:
        content = _read(session, self._at(record_name(template)), LARGEST)
        if content is not None and len(content) > LARGEST:
            raise self._records.too_large(template)
        if content is None:
            self._check_folder(session)
        return content

    def _check_folder(self, session: SftpSession) -> None:
        if session.attributes(self._root) is None:
            raise HostError(f"the folder {self._root} does not exist at {self.name}", "create it there")

    def stored(self) -> Mapping[str, int]:
        sizes: dict[str, int] = {}
        with self._session() as session:
            for name, about in sorted(session.listing(self._root), key=lambda one: one[0], reverse=True):
                if published_name(name) and about.is_file:
                    sizes[published_name(name)] = about.size or 0  # the complete one comes last
        return sizes

    def send(self, file: ReleaseFile, template: TemplateState | None, progress: Progress) -> int:
        final = self._at(checked_file(file.stored.name))
        part = final + PART
        with self._session() as session:
            if session.attributes(final) is not None:
                session.remove(part)
                return 0
            before = session.file(part)
            if before is not None and not (before.mode or 0) & 0o200:
                session.remove(part)  # complete and read-only: it cannot be opened again
                before = None
            self._check_room(session, file.stored.size - ((before.size if before else None) or 0))
            try:
                count = self._copy(session, file, part, progress)
            except SftpError:  # such as a full disk
                with suppress(HostError):
                    session.remove(part)
                raise
            except HostError:
                raise  # the connection: what was sent is used again
            except ImageBuildError:
                session.remove(part)
                raise
            session.rename(part, final)
        return count

    def _copy(self, session: SftpSession, file: ReleaseFile, path: str, progress: Progress) -> int:
        with session.opened(path, OPEN_READ | OPEN_WRITE | OPEN_CREATE) as part:
            count = sent(file, part, progress)
            part.sync()
            part.mode(0o444)  # last: a read-only part could not be opened again
        return count

    def _check_room(self, session: SftpSession, needed: int) -> None:
        room = session.room(self._root)
        if room is not None and needed > room:
            raise HostError(
                f"there is no room for the image at {self.name}: {needed >> 20} MiB are needed, {room >> 20} are free",
                "free some space, or remove old versions with `imagebuild prune`",
            )

    def digest(self, file: StoredFile, progress: Progress) -> str:
        path = self._at(checked_file(file.name))
        with self._session() as session:
            about = session.file(path)
            if about is None:
                return ""
            with session.opened(path, OPEN_READ) as stored:
                return _digest(stored, about.size or 0, progress)

    def switch(self, state: TemplateState) -> None:
        path = self._at(record_name(state.template))
        content = self._records.written(state)
        with self._session() as session:
            aside = self._at(f".{record_name(state.template)}.new")
            session.remove(aside)
            _write(session, aside, content, OPEN_CREATE | OPEN_EXCLUSIVE, mode=0o644)
            try:
                self._records.check(state.template, self._record(session, state.template))
                self._lost.check()
                session.replace(aside, path)
            except HostError:
                with suppress(HostError):
                    session.remove(aside)
                raise
        self._records.now(state.template, content)

    def used(self, state: TemplateState) -> Mapping[str, str]:
        """Nothing: who reads a file of the server is not known here."""
        return {}

    def remove(self, file: str) -> None:
        path = self._at(checked_file(file))
        with self._session() as session:
            session.remove(path)
            session.remove(path + PART)


def _path(folder: Path, written: str | None) -> Path | None:
    return None if written is None else folder / Path(written).expanduser()


def _read(session: SftpSession, path: str, limit: int) -> bytes | None:
    """A small file; None if there is none, and one byte more than ``limit`` if it is larger."""
    try:
        if session.file(path) is None:
            return None
        with session.opened(path, OPEN_READ) as file:
            return file.read(0, limit + 1)
    except SftpError as error:
        if error.code == Code.NO_SUCH_FILE:  # it has gone in between
            return None
        raise


def _write(session: SftpSession, path: str, content: bytes, flags: int, mode: int = 0o666) -> None:
    with session.opened(path, OPEN_WRITE | flags, mode) as file:
        file.write(0, content)
        if flags & OPEN_EXCLUSIVE:
            file.mode(mode)
        file.sync()


def _digest(file: SftpFile, total: int, progress: Progress) -> str:
    digest, at = hashlib.sha256(), 0
    while block := file.read(at, BLOCK):
        digest.update(block)
        at += len(block)
        progress(at, max(at, total))
    return digest.hexdigest()
