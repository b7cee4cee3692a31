"""What a remote store holds, and which of it may be removed.

The order makes it safe while others push: first this process announces itself, then it reads what is
being pushed, then which entries there are, and only then it removes. Who pushes announces that first and
waits if retention runs (remote_store): so each chunk that somebody relies on is seen here.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

from imagebuild.errors import HostError
from imagebuild.remote import entry_record as records
from imagebuild.remote.bounded import Deadline, within
from imagebuild.remote.entry_record import OtherFormat, RefusedEntry, RemoteRecord
from imagebuild.remote.place import PART, RemotePlace, StoredObject, TooLarge, cannot_write
from imagebuild.remote.remote_store import LEASE, RemoteStore

_LISTING = 600.0
"""Seconds that a listing, or a removal, may take."""


@dataclass(frozen=True)
class RemoteEntry:
    """An entry of a remote store: for which recipe it was made, when it was used last (seconds since 1970, by
    the clock of the place), the bytes that its chunks take there, and why it is not taken, if so.
    """

    kind: str
    fingerprint: str
    label: str
    used: float
    size: int
    wrong: str = ""
    chunks: frozenset[str] = field(default=frozenset(), repr=False)
    other_format: bool = False

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return f"{self.kind} {self.fingerprint[:12]}{f' of {self.label}' if self.label else ''}"


@dataclass(frozen=True)
class PrunedEntry:
    """Something that was, or would be, removed: what it is, its size in bytes, and the reason."""

    what: str
    size: int
    why: str


@dataclass(frozen=True)
class PrunedStore:
    """What was removed from a remote store, and the bytes that remain."""

    removed: tuple[PrunedEntry, ...]
    kept: int


@dataclass(frozen=True)
class RetentionRules:
    """What stays: per kind and recipe the ``keep`` entries used last; nothing that was not used for ``unused``
    seconds; at most ``max_size`` bytes, of which the least recently used go first.
    """

    keep: int
    unused: float | None = None
    max_size: int | None = None


def entries(remote: RemoteStore) -> list[RemoteEntry]:
    """All entries, those used last first. Raises HostError if the place cannot be read or listed."""
    place = remote.place
    sizes = {one.name.rpartition("/")[2]: one.size for one in _listed(place, "chunks")}
    used = {one.name.removeprefix("used/"): one.modified for one in _listed(place, "used")}
    found = []
    for one in _listed(place, "entries"):
        _, kind, fingerprint = (*one.name.split("/"), "", "")[:3]
        try:
            records.object_name(kind, fingerprint)
        except ValueError:
            continue  # a file that is being written, or none of ours
        last = max(one.modified, used.get(f"{kind}/{fingerprint}", 0.0))
        found.append(_entry(remote, kind, fingerprint, last, sizes))
    return sorted(found, key=lambda one: -one.used)


def _entry(remote: RemoteStore, kind: str, fingerprint: str, used: float, sizes: Mapping[str, int]) -> RemoteEntry:
    try:
        record, wrong = remote.find(kind, fingerprint), ""
    except RefusedEntry as error:
        wrong = str(error.__cause__ or error)
        if isinstance(error.__cause__, OtherFormat):
            return RemoteEntry(kind, fingerprint, "", used, 0, wrong, other_format=True)
        record = _unsealed(remote, kind, fingerprint)
    if record is None:
        return RemoteEntry(kind, fingerprint, "", used, 0, wrong or "it has just been removed")
    size = sum(sizes.get(one, 0) for one in record.digests)
    if not wrong and any(one not in sizes for one in record.digests):
        wrong = "a part of it is missing"
    return RemoteEntry(kind, fingerprint, record.label, used, size, wrong, record.digests)


def _unsealed(remote: RemoteStore, kind: str, fingerprint: str) -> RemoteRecord | None:
    """A record that is not taken, to know its chunks; None if it cannot be read."""
    with suppress(TooLarge):
        name = records.object_name(kind, fingerprint)
        stored = within(remote.deadline(), lambda: remote.place.read(name, records.LARGEST))
        return None if stored is None else records.readable(stored)
    return None


def prune(remote: RemoteStore, rules: RetentionRules, *, dry_run: bool = False) -> PrunedStore:
    """Remove what ``rules`` do not keep, and what interrupted pushes have left.

    Nothing is removed that an entry which stays, or one that is being pushed, is made of. Raises HostError.
    """
    if not dry_run and not remote.pushes:
        raise cannot_write(remote.name)
    with _announced(remote, dry_run=dry_run) as now:
        living, dead = _announcements(remote.place, now)
        pushed = _chunks_being_pushed(remote, living)
        everything = entries(remote)
        _check_formats(remote, everything)
        stored = _listed(remote.place, "chunks")
        sizes = {one.name.rpartition("/")[2]: one.size for one in stored}
        gone = dict(_superfluous(everything, rules, now, sizes))
        stay = [one for one in everything if one not in gone]
        needed = pushed.union(*(one.chunks for one in stay))
        garbage = [one for one in stored if one.name.rpartition("/")[2] not in needed and not _is_young(one, now)]
        removed = [PrunedEntry(one.name, one.size, why) for one, why in gone.items()]
        known = frozenset().union(*(one.chunks for one in everything))
        if waste := [one.size for one in garbage if one.name.rpartition("/")[2] not in known]:
            removed.append(PrunedEntry("parts that no entry needs", sum(waste), "left by interrupted pushes"))
        if not dry_run:
            names = [name for one in gone for name in _names(one)]
            _remove(remote, [*names, *dead, *(one.name for one in garbage)])
    kept = sum(one.size for one in stored) - sum(one.size for one in garbage)
    return PrunedStore(tuple(removed), kept)


def _check_formats(remote: RemoteStore, everything: Sequence[RemoteEntry]) -> None:
    """Raise HostError if another version of imagebuild uses the place: which chunks it needs is not known."""
    for one in everything:
        if one.other_format:
            raise HostError(
                f"another version of imagebuild uses the remote store {remote.name}: {one.name}: {one.wrong}",
                "remove entries with the newest version that uses it",
            )


def _names(entry: RemoteEntry) -> tuple[str, str]:
    """The record comes first: without it nobody looks for the chunks."""
    return f"entries/{entry.kind}/{entry.fingerprint}", f"used/{entry.kind}/{entry.fingerprint}"


def _is_young(one: StoredObject, now: float) -> bool:
    """Whether it is a file that somebody may be writing now."""
    return _is_part(one) and now - one.modified < LEASE


def _is_part(one: StoredObject) -> bool:
    return PART.fullmatch(one.name.rpartition("/")[2]) is not None


def _superfluous(
    everything: Sequence[RemoteEntry], rules: RetentionRules, now: float, sizes: Mapping[str, int]
) -> Iterator[tuple[RemoteEntry, str]]:
    groups: dict[tuple[str, str], int] = defaultdict(int)
    stay = []
    for entry in everything:  # those used last come first
        groups[entry.kind, entry.label] += 1
        if entry.wrong:
            yield entry, entry.wrong
        elif groups[entry.kind, entry.label] > rules.keep:
            yield entry, f"{entry.label} has {rules.keep} that were used later"
        elif rules.unused is not None and now - entry.used > rules.unused:
            yield entry, f"not used for {(now - entry.used) / 86400:.0f} days"
        else:
            stay.append(entry)
    if rules.max_size is not None:
        yield from _beyond(stay, rules.max_size, sizes)


def _beyond(stay: Sequence[RemoteEntry], max_size: int, sizes: Mapping[str, int]) -> Iterator[tuple[RemoteEntry, str]]:
    """The least recently used entries, until what is left fits; chunks of several entries count once."""
    seen: set[str] = set()
    total, full = 0, False
    for entry in stay:
        total += sum(sizes.get(one, 0) for one in entry.chunks - seen)
        full = full or total > max_size
        if full:
            yield entry, "least recently used"
        seen |= entry.chunks


@contextmanager
def _announced(remote: RemoteStore, *, dry_run: bool) -> Iterator[float]:
    """Announce retention to all who push; yields the time now by the clock of the place."""
    place, name = remote.place, f"prunes/{secrets.token_hex(16)}"
    if dry_run:
        newest = [one.modified for prefix in ("entries", "used", "pushes") for one in _listed(place, prefix)]
        yield max(newest, default=0.0)
        return
    within(remote.deadline(), lambda: place.write(name, b""))
    try:
        yield next((one.modified for one in _listed(place, "prunes") if one.name == name), 0.0)
    finally:
        with suppress(HostError):
            within(remote.deadline(), lambda: place.remove(name))


def _announcements(place: RemotePlace, now: float) -> tuple[list[str], list[str]]:
    """The announcements of processes that push now, and of all kinds those that killed processes left."""
    pushes, prunes = list(_listed(place, "pushes")), list(_listed(place, "prunes"))
    parts = [one for prefix in ("entries", "used") for one in _listed(place, prefix) if _is_part(one)]
    dead = [one.name for one in (*pushes, *prunes, *parts) if now - one.modified >= LEASE]
    return [one.name for one in pushes if one.name not in dead], dead


def _chunks_being_pushed(remote: RemoteStore, names: Collection[str]) -> frozenset[str]:
    found: frozenset[str] = frozenset()
    for name in names:
        stored = within(remote.deadline(), partial(remote.place.read, name, records.LARGEST))
        if stored is not None and (record := records.readable(stored)) is not None:
            found |= record.digests
    return found


def _listed(place: RemotePlace, prefix: str) -> list[StoredObject]:
    """A listing, in bounded time."""
    deadline = Deadline(_LISTING, "the listing of the remote store")
    return within(deadline, lambda: list(place.listing(prefix)))


def _remove(remote: RemoteStore, names: Sequence[str]) -> None:
    deadline = Deadline(_LISTING, f"the remote store {remote.name}")
    for name in names:
        within(deadline, partial(remote.place.remove, name))
