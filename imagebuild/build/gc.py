"""Garbage collection in the store: leftovers of dead builds, damaged entries, least recently used
entries.

An entry that a build is using is never removed, nor is the version of an image that ``latest``
names.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from imagebuild.build.engine import clear_dead_runs, lock_name
from imagebuild.errors import HostError
from imagebuild.files import allocated, remove_tree
from imagebuild.log import logger
from imagebuild.store.artifact import ArtifactFolder
from imagebuild.store.entry import StoreEntry
from imagebuild.store.runs import domain_name
from imagebuild.store.store import Store


@dataclass(frozen=True)
class Removed:
    """An item that was, or would be, removed: what it is, its size in bytes, and the reason."""

    what: str
    size: int
    why: str


@dataclass(frozen=True)
class CollectedGarbage:
    """What was removed, and the size in bytes of what remains in the store."""

    removed: tuple[Removed, ...]
    kept: int


def collect(store: Store, *, keep: int, max_size: int | None = None, dry_run: bool = False) -> CollectedGarbage:
    """Remove what is no longer needed. Raises HostError if libvirt is needed and does not answer.

    For each recipe and kind, the ``keep`` most recently used entries remain; all that remains takes
    at most ``max_size`` bytes. Downloaded sources count towards that, and are removed only while no
    build runs.
    """
    dead = store.runs.dead()
    removed = [Removed(f"dead build {run}", 0, "its process is gone") for run in dead]
    if not dry_run:
        clear_dead_runs(store)
    removed += _orphans(store, set(map(domain_name, dead)), dry_run=dry_run)
    removed += _damaged(store, dry_run=dry_run)
    removed += _unfinished(store, dry_run=dry_run)
    superfluous, rest = _beyond(store.entries(), keep)
    stay = []
    for entry in superfluous:
        if store.remove(entry, dry_run=dry_run):
            removed.append(Removed(_named(entry), entry.size, f"{entry.label} has {keep} newer ones"))
        else:
            stay.append(entry)
    rest += sources(store)
    size = sum(entry.size for entry in (*stay, *rest))
    for entry in sorted(rest, key=lambda entry: entry.used):
        if max_size is None or size <= max_size:
            break
        freed = _freed(entry.folder)
        if store.remove(entry, dry_run=dry_run):
            removed.append(Removed(_named(entry), entry.size, "least recently used"))
            size -= freed
    return CollectedGarbage(tuple(removed), size)


def versions(
    root: Path, store: Store, *, keep: int, dry_run: bool = False, recipes: Collection[str] | None = None
) -> list[Removed]:
    """Remove leftovers of killed builds below ``root``, and all versions of each image except the
    ``keep`` newest; with ``recipes``, only of these.
    """
    removed = []
    folders = [path for path in root.glob("*") if path.is_dir() and not path.is_symlink()]
    for folder in sorted(path for path in folders if recipes is None or path.name in recipes):
        output = ArtifactFolder(root, folder.name)
        with store.locked(lock_name(root, folder.name), lambda pid: None):
            for old in (*output.unfinished(), *output.superfluous(keep)):
                why = f"there are {keep} newer ones" if old.name[0] != "." else "unfinished"
                removed.append(Removed(str(old), _size(old), why))
                if not dry_run:
                    remove_tree(old)
    return removed


def sources(store: Store) -> list[StoreEntry]:
    """The downloads that may be removed: none while a build runs."""
    if store.runs.living():
        return []
    found = [path for path in (store.root / "sources").glob("*") if path.is_file() and not path.is_symlink()]
    return [StoreEntry("sources", path.name, path, "", path.stat().st_mtime, allocated(path)) for path in found]


def _orphans(store: Store, told: Collection[str], *, dry_run: bool) -> Iterator[Removed]:
    """Remove machines of runs whose folder is gone, except those in ``told``. If libvirt does not
    answer, none are found.
    """
    from imagebuild.build.machines import machines  # libvirt, which removing old versions does not need

    try:
        with machines(store) as connection:
            if connection is None:
                return
            for name in set(store.runs.orphans(connection)).difference(told):
                yield Removed(f"machine {name}", 0, "its build is gone")
                if not dry_run:
                    connection.end(name)
    except HostError as error:
        logger.info("cannot look for leftover machines: %s", error.message)


def _damaged(store: Store, *, dry_run: bool) -> Iterator[Removed]:
    for path in store.damaged():
        yield Removed(f"damaged {path.name}", _size(path), "its content has changed since it was made")
        if not dry_run:
            remove_tree(path)


def _unfinished(store: Store, *, dry_run: bool) -> Iterator[Removed]:
    for path in store.unfinished():
        yield Removed(f"incomplete {path.name}", _size(path), "it did not arrive completely from the remote store")
        if not dry_run:
            with store.locked(path.name, lambda pid: None):
                remove_tree(path)


def _beyond(entries: Iterable[StoreEntry], keep: int) -> tuple[list[StoreEntry], list[StoreEntry]]:
    """The entries beyond the ``keep`` most recently used per kind and recipe; and the others."""
    groups: dict[tuple[str, str], list[StoreEntry]] = defaultdict(list)
    for entry in entries:
        groups[entry.kind, entry.label].append(entry)
    for group in groups.values():
        group.sort(key=lambda entry: entry.used, reverse=True)
    return (
        [entry for group in groups.values() for entry in group[keep:]],
        [entry for group in groups.values() for entry in group[:keep]],
    )


def _named(entry: StoreEntry) -> str:
    return f"{entry.kind} {entry.fingerprint[:12]}{f' of {entry.label}' if entry.label else ''}"


def _freed(path: Path) -> int:
    """What removing an entry frees: nothing of a file that another entry has, too."""
    found = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file() and not one.is_symlink()]
    with suppress(FileNotFoundError):  # another process was faster
        return sum(allocated(one) for one in found if one.stat().st_nlink == 1)
    return 0


def _size(path: Path) -> int:
    if path.is_symlink() or not path.is_dir():
        return 0
    return sum(allocated(one) for one in path.rglob("*") if one.is_file() and not one.is_symlink())
