"""The store that all machines of a farm share, as far as a farm needs to know it."""

from __future__ import annotations

from contextlib import closing
from typing import Protocol

from imagebuild import fingerprint
from imagebuild.errors import HostError
from imagebuild.log import logger
from imagebuild.remote.opening import RemoteSettings, open_remote
from imagebuild.remote.remote_store import RemoteStore
from imagebuild.store.store import Store


class FarmStore(Protocol):
    """Where a worker puts the results of steps, and others find them."""

    @property
    def identity(self) -> str:
        """The same text for all machines that share it; no secret. After ``/`` it is about their key."""

    def has(self, kind: str, fingerprint: str) -> bool:
        """Whether others can get this entry."""

    def pull(self, kind: str, fingerprint: str, store: Store) -> bool:
        """Bring an entry into a store of this machine. Returns whether it is there now."""

    def push(self, kind: str, fingerprint: str, store: Store) -> None:
        """Give others an entry of a store of this machine."""

    def keeps_local(self) -> bool:
        """Whether the entries of a machine's own store are the shared ones."""

    def close(self) -> None:
        """End connections."""


class SameFolder:
    """A store in one folder that all workers use: several workers on one machine."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # Every store has a random key. Its digest says nothing about it.
        self.identity = fingerprint.text(store.key().hex())[:16]

    def has(self, kind: str, fingerprint: str) -> bool:
        """See FarmStore."""
        return self._store.find(kind, fingerprint) is not None

    def pull(self, kind: str, fingerprint: str, store: Store) -> bool:
        """See FarmStore."""
        return store.find(kind, fingerprint) is not None

    def push(self, kind: str, fingerprint: str, store: Store) -> None:
        """See FarmStore."""

    def keeps_local(self) -> bool:
        """See FarmStore."""
        return True

    def close(self) -> None:
        """See FarmStore."""


class RemoteFolder:
    """A remote store: each machine has its own store beside it."""

    def __init__(self, remote: RemoteStore) -> None:
        self._remote = remote
        self.identity = f"{fingerprint.text(remote.name)[:16]}/{remote.key_identity}"

    def has(self, kind: str, fingerprint: str) -> bool:
        """See FarmStore. A place that is away has nothing for now."""
        try:
            return self._remote.has(kind, fingerprint)
        except HostError as error:
            logger.warning("%s", error)
            return False

    def pull(self, kind: str, fingerprint: str, store: Store) -> bool:
        """See FarmStore. Raises HostError for a place that is away, or what is not taken."""
        return self._remote.pull(kind, fingerprint, store)

    def push(self, kind: str, fingerprint: str, store: Store) -> None:
        """See FarmStore. Raises HostError for a place that is away."""
        self._remote.push(kind, fingerprint, store)

    def keeps_local(self) -> bool:
        """See FarmStore."""
        return False

    def close(self) -> None:
        """See FarmStore."""
        self._remote.close()


def opened(store: Store, remote: RemoteSettings | None) -> FarmStore:
    """The shared store: the remote one, else this machine's own for workers beside it. Raises UsageError."""
    return SameFolder(store) if remote is None else RemoteFolder(open_remote(remote))


def identity_of(store: Store, remote: RemoteSettings | None) -> str:
    """The identity of the shared store. Raises UsageError."""
    with closing(opened(store, remote)) as shared:
        return shared.identity
