"""A remote store: entries of the stores of many machines, which nobody trusts.

An entry is visible when its record is, which is written last. Chunks are stored under the digest of
their content, so that any number of machines may push at the same time.
"""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from imagebuild.errors import HostError, ImageBuildError
from imagebuild.progress import SILENT, Progress
from imagebuild.remote import entry_record as records
from imagebuild.remote.arrival import DamagedChunk, arrive, check
from imagebuild.remote.bounded import Deadline, within
from imagebuild.remote.departure import depart, described
from imagebuild.remote.entry_record import RefusedEntry, RemoteRecord
from imagebuild.remote.place import RemotePlace, TooLarge, cannot_write
from imagebuild.store.entry import EntryFacts
from imagebuild.store.store import Store

PATIENCE = 30.0
"""Seconds in which a place must answer, and that a transfer may take besides that for its bytes."""
SLOWEST = 256 << 10
"""Bytes a second, before they are compressed, below which a transfer is given up."""
LEASE = 3600.0
"""Seconds after which an announcement of a push, or of retention, counts as left by a killed process."""
_RENEWED = 600.0
_IDENTITY = b"imagebuild: who has this key"
_POLL = 1.0


class ByteCount:
    """Bytes of chunks and records on the way, counted by several threads."""

    def __init__(self) -> None:
        self.total = 0
        self._turn = threading.Lock()

    def add(self, count: int) -> None:
        """Count more of them."""
        with self._turn:
            self.total += count


class RemoteStore:
    """A remote store at a place. ``name`` is for messages. Several threads may use it.

    With a ``key`` nothing is taken that it did not seal. Methods raise HostError if the place cannot be
    used in time, and RefusedEntry for an entry that is not taken.
    """

    def __init__(
        self,
        name: str,
        place: RemotePlace,
        key: bytes | None = None,
        *,
        pushes: bool = True,
        patience: float = PATIENCE,
    ) -> None:
        self.name, self.place, self._key = name, place, key
        self.pushes = pushes and place.writable
        """Whether anything may be put there."""
        self.received, self.sent = ByteCount(), ByteCount()
        self._patience = patience
        self._damaged: set[str] = set()
        self._refused: set[tuple[str, str]] = set()
        self._found: dict[tuple[str, str], RemoteRecord] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End connections."""
        self.place.close()

    @property
    def key_identity(self) -> str:
        """The same text for all who have the same key, from which nobody gets the key; empty without one."""
        return "" if self._key is None else hmac.digest(self._key, _IDENTITY, "sha256").hex()[:16]

    def damage(self, kind: str, fingerprint: str) -> list[DamagedChunk]:
        """What is missing or damaged of an entry, of which all is read; nothing if there is no such entry.

        Raises RefusedEntry for one that is not taken anyway.
        """
        record = self.find(kind, fingerprint)
        if record is None:
            return []
        return list(check(self.place, record, self.deadline(record.data), lambda stored, _: self.received.add(stored)))

    def remove(self, kind: str, fingerprint: str, damaged: Iterable[DamagedChunk] = ()) -> None:
        """Remove an entry, and those of its chunks that are damaged: other entries do not need them as they are."""
        if not self.pushes:
            raise cannot_write(self.name)
        for name in (records.object_name(kind, fingerprint), *(records.chunk_name(one.digest) for one in damaged)):
            within(self.deadline(), partial(self.place.remove, name))

    def deadline(self, data: int = 0) -> Deadline:
        """Until when a transfer of so many bytes must have ended."""
        return Deadline(self._patience + data / SLOWEST, f"the remote store {self.name}")

    def find(self, kind: str, fingerprint: str) -> RemoteRecord | None:
        """The record of an entry, None if there is none. Raises RefusedEntry."""
        name = records.object_name(kind, fingerprint)
        try:
            stored = within(self.deadline(), lambda: self.place.read(name, records.LARGEST))
            if stored is None:
                return None
            self.received.add(len(stored))
            return records.opened(stored, kind, fingerprint, self._key)
        except (TooLarge, RefusedEntry) as error:
            self._refused.add((kind, fingerprint))
            raise self._refusal(kind, fingerprint, error) from error

    def has(self, kind: str, fingerprint: str) -> bool:
        """Whether there is an entry that would be taken."""
        with suppress(RefusedEntry):
            return self.look(kind, fingerprint)
        return False

    def look(self, kind: str, fingerprint: str) -> bool:
        """The same, but raises RefusedEntry if there is one that would not be taken."""
        found = self.find(kind, fingerprint)
        if found is not None:
            self._found[kind, fingerprint] = found  # who asks is likely to fetch it
        return found is not None

    def pull(self, kind: str, fingerprint: str, store: Store, progress: Progress = SILENT) -> bool:
        """Make an entry of the remote store one of ``store``; False if there is none."""
        if store.find(kind, fingerprint) is not None:
            return True
        record = self._found.pop((kind, fingerprint), None) or self.find(kind, fingerprint)
        if record is None:
            return False
        name = f"pull-{kind}-{fingerprint}"
        with store.locked(name, lambda pid: progress.update(f"waiting for process {pid}, which is fetching it")):
            if store.find(kind, fingerprint) is not None:
                return True
            folder = store.incoming(name)
            self.fetch(record, folder, progress)
            digests = {file.name: (file.size, file.digest) for file in record.files}
            try:
                store.adopt(kind, fingerprint, folder, EntryFacts(record.label, record.made, record.inputs, digests))
            except ValueError as error:
                self._refused.add((kind, fingerprint))
                raise self._refusal(kind, fingerprint, error) from error
        return True

    def fetch(self, record: RemoteRecord, folder: Path, progress: Progress = SILENT) -> None:
        """Fill a folder with the files of an entry; what is there already is used."""
        done = _Transferred(record.data, progress, f"fetching from {self.name}")

        def received(stored: int, length: int) -> None:
            self.received.add(stored)
            done.add(length)

        try:
            arrive(self.place, record, folder, self.deadline(record.data), received)
        except RefusedEntry as error:
            self._refused.add((record.kind, record.fingerprint))
            if isinstance(error, DamagedChunk):
                self._damaged.add(error.digest)
            raise self._refusal(record.kind, record.fingerprint, error) from error
        self._use(record)

    def push(
        self, kind: str, fingerprint: str, store: Store, progress: Progress = SILENT, *, replace: bool = False
    ) -> None:
        """Put an entry of ``store`` there, unless it is there already and is not to be replaced.

        Raises HostError also if ``store`` does not have it.
        """
        with ExitStack() as held:
            folder = store.take(kind, fingerprint, held, prove=False)
            if folder is None:
                raise HostError(f"the store {store.root} has no {kind} {fingerprint}")
            self.put(kind, fingerprint, folder, store.facts(kind, fingerprint), progress, replace=replace)

    def put(
        self,
        kind: str,
        fingerprint: str,
        folder: Path,
        facts: EntryFacts,
        progress: Progress = SILENT,
        *,
        replace: bool = False,
    ) -> None:
        """Put the files of a folder there as an entry; as :meth:`push`."""
        if not self.pushes:
            raise cannot_write(self.name)
        if not replace and (kind, fingerprint) not in self._refused and self.has(kind, fingerprint):
            return
        record = described(kind, fingerprint, folder, facts)
        content = records.sealed(record, self._key)
        try:
            records.opened(content, kind, fingerprint, self._key)
        except RefusedEntry as error:
            raise ImageBuildError(f"{kind} {fingerprint[:12]} cannot be pushed: {error.message}") from error
        done = _Transferred(record.data, progress, f"sending to {self.name}")
        with self._announced(content) as renew:

            def sent(stored: int, length: int) -> None:
                self.sent.add(stored)
                done.add(length)
                renew()

            # what was refused may be damaged in more places than the one that was seen
            again = record.digests if (kind, fingerprint) in self._refused else self._damaged
            depart(self.place, record, folder, self.deadline(record.data), sent, again)
            within(self.deadline(), lambda: self.place.write(records.object_name(kind, fingerprint), content))
            self.sent.add(len(content))
        self._refused.discard((kind, fingerprint))
        self._damaged -= record.digests

    @contextmanager
    def _announced(self, content: bytes) -> Iterator[Callable[[], None]]:
        """Tell retention which chunks are about to be used: it removes none of them.

        Either retention finds this announcement, or this process finds that of retention, and waits.
        """
        name, written = f"pushes/{secrets.token_hex(16)}", time.monotonic()

        def renew() -> None:
            nonlocal written
            if time.monotonic() - written > _RENEWED:
                written = time.monotonic()
                self.place.write(name, content)

        within(self.deadline(), lambda: self.place.write(name, content))
        try:
            self._wait_for_retention(name)
            yield renew
        finally:
            with suppress(HostError):
                within(self.deadline(), lambda: self.place.remove(name))

    def _wait_for_retention(self, mine: str) -> None:
        deadline = self.deadline()
        while within(self.deadline(), lambda: self._retention_runs(mine)):
            if deadline.left <= 0:
                raise HostError(
                    f"something is removing entries from the remote store {self.name}", "push when that has ended"
                )
            time.sleep(_POLL)

    def _retention_runs(self, mine: str) -> bool:
        others = list(self.place.listing("prunes"))
        if not others:
            return False
        now = next((one.modified for one in self.place.listing("pushes") if one.name == mine), time.time())
        return any(now - one.modified < LEASE for one in others)

    def _use(self, record: RemoteRecord) -> None:
        """Record that an entry was used; retention keeps what was used last."""
        if self.pushes:
            name = f"used/{record.kind}/{record.fingerprint}"
            with suppress(HostError):
                within(self.deadline(), lambda: self.place.write(name, b""))

    def _refusal(self, kind: str, fingerprint: str, error: Exception) -> RefusedEntry:
        return RefusedEntry(
            f"the remote store {self.name} has a {kind} {fingerprint[:12]} that is not taken: {error}",
            "find out who can write there; `imagebuild store verify` lists all such entries",
        )


class _Transferred:
    """Reports how much of an entry was transferred, each percent once."""

    def __init__(self, total: int, progress: Progress, detail: str) -> None:
        self._total, self._progress, self._detail = max(total, 1), progress, detail
        self._done, self._percent, self._turn = 0, -1, threading.Lock()

    def add(self, length: int) -> None:
        with self._turn:
            self._done += length
            percent = min(100 * self._done // self._total, 100)
            if percent > self._percent:
                self._percent = percent
                self._progress.update(self._detail, percent / 100)
