"""The store: the result of every step, under the step's fingerprint, complete or absent.

A store that belongs to another user, or that others may write, is refused: its content is trusted,
run and removed.

    STORE/<kind>/<fingerprint>/…        an entry; entry.json lists its inputs and the digest of each file
    STORE/damaged/…                     entries that did not match their digests
    STORE/incoming/<name>/              an entry that is being fetched from elsewhere: see imagebuild.remote
    STORE/states/<name>                 the current state of packages: see imagebuild.build.freshness
    STORE/work/<run>/                   the folder of a running build, locked while the build is alive
    STORE/failures/<recipe>/            the evidence of the last failed build of a recipe

Entries are written under a temporary name, fsynced and renamed, and verified when they are taken.
Locks are flock(2): they are released when their process ends, for any reason, and work across
containers on one host. Whoever has taken an entry holds a shared lock on its folder.
"""

from __future__ import annotations

import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import platformdirs

from imagebuild.errors import HostError
from imagebuild.files import (
    read_record,
    remove_tree,
    share,
    sync,
    sync_tree,
    write_atomically,
    write_record,
)
from imagebuild.host import locks
from imagebuild.host.hints import command_line
from imagebuild.host.looked_at import note_place
from imagebuild.host.ownership import why_not_own
from imagebuild.log import logger
from imagebuild.store.entry import RECORD, EntryFacts, StoreEntry, content, damage, difference
from imagebuild.store.runs import Runs

DAMAGED = "damaged"
_INCOMING = "incoming"
_NAME_BYTES = 4
_TAG_NAME = "CACHEDIR.TAG"
_TAG = (
    "Signature: 8a477f597d28d172789f06886806bc55\n# The store of imagebuild: see `imagebuild gc`. About "
    "this file: https://bford.info/cachedir/\n"
)
"""Marks a cache for backup programs."""
_PROBE_CACHE = "host.json"
_LOST = "lost+found"
_OF_ANY = frozenset({_LOST, _PROBE_CACHE})
"""Names that may also be in the root of an empty file system, or in a store without builds."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE = 0o755
"""The mode of folders, whatever the umask is: QEMU's user must pass through, and nobody else may
write.
"""
_OWN = frozenset({
    "key", "locks", "work", "failures", "states", "damaged", "history.sqlite", "accelerator.json",
    "sources", "source", "runtime", "tree", "payload", "installed", "layer", "customised",
})  # fmt: skip
"""The content of stores that were made before the tag was introduced."""


def default_root() -> Path:
    """``IMAGEBUILD_STORE``, else the user's cache folder; for root /var/cache, which QEMU's user
    can reach.
    """
    if chosen := os.environ.get("IMAGEBUILD_STORE"):
        return Path(chosen)
    if os.geteuid() == 0:
        return Path(platformdirs.site_cache_dir("imagebuild"))
    return Path(platformdirs.user_cache_dir("imagebuild"))


def _check_own(root: Path) -> None:
    """Raise HostError if the folder or its content belongs to another user or is writable by one.

    Links and special files in it are refused, too.
    """
    for path in (root, *sorted(root.iterdir())):
        if path.name == _LOST:
            continue
        try:
            status = path.stat() if path == root else path.lstat()
        except FileNotFoundError:
            continue  # another process has just removed it
        if not stat.S_ISDIR(status.st_mode) and not stat.S_ISREG(status.st_mode):
            why = f"{path.name} in it is neither a file nor a folder"
            raise HostError(f"cannot use the store {root}: {why}", f"inspect it: {command_line('ls', '-l', path)}")
        if why_foreign := why_not_own(status):
            what = "it" if path == root else f"{path.name} in it"
            hint = "choose another with --store"
            if status.st_uid == os.geteuid():
                hint += f"; or, if nobody else has written to it: {command_line('chmod', '-R', 'go-w', path)}"
            raise HostError(f"cannot use the store {root}: {what} {why_foreign}", hint)


class Store:
    """A folder on one file system. Safe for several builds in several processes."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=_MODE)
            _check_own(self.root)
        except OSError as error:
            raise HostError(
                f"cannot make the store {self.root}: {error.strerror}", "choose another with --store"
            ) from error
        self._claim()
        self.runs = Runs(self.root / "work")
        self.probe_cache = self.root / _PROBE_CACHE
        """The file of the probe cache: see imagebuild.host.probe_cache."""

    def _claim(self) -> None:
        """Raise HostError unless the folder is a store and nothing else: the content of a store may
        be removed.
        """
        there = {
            path.name for path in self.root.iterdir() if not path.name.startswith((f".{_TAG_NAME}.", ".key."))
        } - _OF_ANY
        foreign = sorted(there - _OWN if "key" in there else there)
        tag = self.root / _TAG_NAME
        if tag.is_file() and tag.read_bytes()[: len(_TAG)] == _TAG.encode():
            return  # checked last: another process may be creating it
        if foreign:
            raise HostError(
                f"{self.root} is not a store: it contains {foreign[0]}",
                "choose a new or an empty folder with --store; the content of a store may be removed",
            )
        with suppress(OSError):  # a read-only store
            write_atomically(tag, _TAG)

    def find(self, kind: str, fingerprint: str) -> Path | None:
        """The entry's folder, or None."""
        place = f"{self.root}/{kind}/{fingerprint}"
        note_place(f"{place}/{RECORD}")
        try:
            os.lstat(place)  # a plan looks for many, and Path takes its time
        except FileNotFoundError:
            return None
        folder = Path(place)
        return folder if (folder / RECORD).is_file() and not folder.is_symlink() else None

    def take(self, kind: str, fingerprint: str, held: ExitStack, *, prove: bool = True) -> Path | None:
        """The folder of a verified entry; nobody removes it until ``held`` is closed. None if there
        is no such entry.

        A damaged entry is moved out of the way and logged. ``prove=False`` skips the verification
        of a new entry.
        """
        while (folder := self.find(kind, fingerprint)) is not None:
            descriptor = os.open(folder, _FOLDER)
            held.callback(os.close, descriptor)
            locks.shared(descriptor)
            if not locks.is_still(descriptor, folder):
                continue  # removed or replaced meanwhile
            found = damage(folder) if prove else None
            if found is None:
                with suppress(OSError):  # a read-only store
                    os.utime(folder / RECORD)
                return folder
            self.set_aside(folder, found)
        return None

    def set_aside(self, path: Path, damage: str) -> None:
        """Move a damaged entry out of the way; ``gc`` removes it."""
        logger.warning("%s in the store is damaged, and will be rebuilt: %s", path.relative_to(self.root), damage)
        aside = self.root / DAMAGED / f"{path.parent.name}-{path.name[:16]}-{secrets.token_hex(_NAME_BYTES)}"
        aside.parent.mkdir(exist_ok=True, mode=_MODE)
        with suppress(FileNotFoundError):  # another process was faster
            path.rename(aside)

    def entries(self) -> Iterator[StoreEntry]:
        """All entries, in no particular order, without damaged ones."""
        for path in self.root.glob(f"*/*/{RECORD}"):
            if path.parts[-3] in (DAMAGED, _INCOMING) or path.parent.is_symlink() or path.is_symlink():
                continue
            with suppress(OSError, ValueError):
                label, used = read_record(path, EntryFacts).label, path.stat().st_mtime
                folder = path.parent
                size = sum(share(one) for one in folder.rglob("*") if one.is_file() and not one.is_symlink())
                yield StoreEntry(folder.parent.name, folder.name, folder, label, used, size)

    def damaged(self) -> list[Path]:
        """The damaged entries that were moved out of the way."""
        return sorted((self.root / DAMAGED).glob("*"))

    def remove(self, entry: StoreEntry, *, dry_run: bool = False) -> bool:
        """Remove an entry unless it is in use. Returns whether it was, or with ``dry_run`` could
        be, removed.
        """
        with suppress(FileNotFoundError):
            descriptor = os.open(entry.folder, _FOLDER if entry.kind != "sources" else _FILE)
            try:
                if not locks.free(descriptor):
                    return False
                if dry_run:
                    return True
                aside = self.root / DAMAGED / secrets.token_hex(8)
                aside.parent.mkdir(exist_ok=True, mode=_MODE)
                entry.folder.rename(aside)  # atomically: nobody finds half an entry
                remove_tree(aside)
            finally:
                os.close(descriptor)
        return True

    def last(self, kind: str, label: str) -> tuple[Mapping[str, str], Path] | None:
        """The inputs and the folder of the newest entry of this kind for ``label``, or None."""
        newest: tuple[str, Mapping[str, str], Path] | None = None
        for path in (self.root / kind).glob(f"*/{RECORD}"):
            with suppress(OSError, ValueError):
                entry = read_record(path, EntryFacts)
                if entry.label == label and (newest is None or entry.made > newest[0]):
                    newest = entry.made, entry.inputs, path.parent
        return newest[1:] if newest else None

    @contextmanager
    def make(
        self,
        kind: str,
        fingerprint: str,
        *,
        within: Path,
        label: str,
        inputs: Mapping[str, str],
        replace: bool = False,
        known: Path | None = None,
    ) -> Iterator[Path]:
        """A folder to fill; leaving the block makes it the entry, an exception removes it.

        Until then it is in ``within``, the run's folder, and is removed with that if the process
        dies. If another process was faster, its entry is kept, unless ``replace`` is given. Files
        that are hard links to those of ``known``, an entry that was taken, are not read again.
        """
        (self.root / kind).mkdir(exist_ok=True, mode=_MODE)
        aside = within / f"{kind}-{secrets.token_hex(_NAME_BYTES)}"
        aside.mkdir()
        try:
            yield aside
            files = {name: (size, digest) for name, size, digest in content(aside, known)}
            record = EntryFacts(label, datetime.now(UTC).isoformat(), dict(inputs), files)
            self._place(aside, kind, fingerprint, record, replace=replace)
        finally:
            remove_tree(aside)

    def adopt(self, kind: str, fingerprint: str, aside: Path, facts: EntryFacts) -> None:
        """Make a folder of the store's file system the entry, as ``facts`` describe it; an existing entry
        is kept. ``aside`` is gone afterwards.

        Raises ValueError if the content of the folder is not what ``facts`` say.
        """
        if found := difference(aside, facts.files, exactly=True):
            raise ValueError(found)
        self._place(aside, kind, fingerprint, facts)
        remove_tree(aside)

    def _place(self, aside: Path, kind: str, fingerprint: str, record: EntryFacts, *, replace: bool = False) -> None:
        """Make a complete folder the entry, durably."""
        final = self.root / kind / fingerprint
        final.parent.mkdir(exist_ok=True, mode=_MODE)
        replaced = aside.with_name(f"{aside.name}.replaced")
        write_record(aside / RECORD, record)
        sync_tree(aside)
        try:
            if replace and final.exists():
                final.rename(replaced)
            if not final.exists():
                aside.rename(final)
            sync(final.parent)
        finally:
            remove_tree(replaced)

    def facts(self, kind: str, fingerprint: str) -> EntryFacts:
        """What is recorded about an entry. Raises OSError, and ValueError for what is no such record."""
        return read_record(self.root / kind / fingerprint / RECORD, EntryFacts)

    def incoming(self, name: str) -> Path:
        """The folder for what arrives under ``name`` from elsewhere; it stays if that is interrupted, and
        is used again. Hold the lock of this name (:meth:`locked`) meanwhile: ``gc`` removes others.
        """
        folder = self.root / _INCOMING / name
        folder.parent.mkdir(exist_ok=True, mode=0o700)
        folder.mkdir(exist_ok=True, mode=0o700)
        return folder

    def unfinished(self) -> list[Path]:
        """What arrived incompletely, and is not arriving now."""
        found = []
        for folder in sorted((self.root / _INCOMING).glob("*")):
            with suppress(OSError):
                descriptor = os.open(self.root / "locks" / folder.name, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    if not locks.free(descriptor):
                        continue
                finally:
                    os.close(descriptor)
            found.append(folder)
        return found

    @contextmanager
    def locked(self, name: str, on_wait: Callable[[str], None]) -> Iterator[None]:
        """Hold the lock ``name``, after waiting for its holder; ``on_wait`` is called once with the
        holder's process ID.
        """
        path = self.root / "locks" / name
        path.parent.mkdir(exist_ok=True, mode=_MODE)
        descriptor = self._acquire(path, on_wait)
        try:
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
            yield
        finally:
            path.unlink(missing_ok=True)  # while still holding it: see _acquire
            os.close(descriptor)

    @staticmethod
    def _acquire(path: Path, on_wait: Callable[[str], None]) -> int:
        reported = False
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                if locks.free(descriptor):
                    if os.fstat(descriptor).st_nlink:
                        return descriptor  # still the file with that name, not one that its holder has removed
                else:
                    holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip()
                    if holder and not reported:  # the holder writes its ID right after it got the lock
                        on_wait(holder)
                        reported = True
                    time.sleep(0.25)
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def clear_locks(self) -> None:
        """Remove the lock files of killed processes. They no longer lock anything."""
        for path in (self.root / "locks").glob("*"):
            with suppress(OSError):
                descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    if locks.free(descriptor):
                        path.unlink()  # while holding it: see _acquire
                finally:
                    os.close(descriptor)

    def failure_folder(self, recipe: str) -> Path:
        """An empty folder for the evidence of a failed build of ``recipe``; the previous one is
        removed.
        """
        folder = self.root / "failures" / recipe
        remove_tree(folder)
        folder.parent.mkdir(exist_ok=True, mode=_MODE)
        folder.mkdir(mode=0o700)
        return folder

    def state(self, name: str) -> str:
        """The short text stored under ``name``; empty if there is none."""
        with suppress(FileNotFoundError):
            return (self.root / "states" / name).read_text()
        return ""

    def set_state(self, name: str, text: str) -> None:
        """Store a short text under ``name``."""
        path = self.root / "states" / name
        if self.state(name) != text:
            path.parent.mkdir(exist_ok=True, mode=_MODE)
            write_atomically(path, text)

    def key(self) -> bytes:
        """A random key of this store, for digests that outsiders must not be able to guess."""
        path = self.root / "key"
        with suppress(FileNotFoundError):
            return path.read_bytes()
        aside = self.root / f".key.{secrets.token_hex(_NAME_BYTES)}"
        write_atomically(aside, secrets.token_bytes(32), mode=0o600)
        with suppress(FileExistsError):  # another process was faster, and its key is used
            path.hardlink_to(aside)
        aside.unlink()
        return path.read_bytes()
