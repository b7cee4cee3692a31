"""The store: the result of every step, under the step's fingerprint, whole or not there.

A store of another user, or one that others may write, is refused: what is in it is believed, run and removed.

    STORE/<kind>/<fingerprint>/…        an entry; entry.json says which inputs it was made from, and the digest of each file
    STORE/damaged/…                     entries that were not what their digests say
    STORE/states/<name>                 which state of the world is in force: see imagebuild.build.freshness
    STORE/work/<run>/                   a running build's own folder, locked while it lives
    STORE/failures/<recipe>/            what the last failed build of a recipe left to read

Entries are written aside, fsynced and renamed, and proved when they are taken. Locks are flock(2): they end with their process,
whatever ends it, and hold across containers on one host. Who has taken an entry holds its folder's lock, shared.
"""

from __future__ import annotations

import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import platformdirs

from imagebuild.errors import HostError
from imagebuild.files import (
    allocated,
    content_digest,
    read_record,
    remove_tree,
    sync,
    sync_tree,
    write_atomically,
    write_record,
)
from imagebuild.host import locks
from imagebuild.host.hints import command_line
from imagebuild.host.ownership import why_not_own
from imagebuild.log import logger
from imagebuild.store.runs import Runs

DAMAGED = "damaged"
_ENTRY = "entry.json"
_NAME_BYTES = 4
_TAG_NAME = "CACHEDIR.TAG"
_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# The store of imagebuild: see `imagebuild gc`. About this file: https://bford.info/cachedir/\n"
"""What programs that make backups know a cache by."""
_ANSWERS = "host.json"
_LOST = "lost+found"
_OF_ANY = frozenset({_LOST, _ANSWERS})
"""Also in the root of an empty file system, and where nothing was built yet."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE = 0o755
"""Of folders, whatever the umask adds: QEMU's own user passes through, and nobody else writes."""
_OWN = frozenset({
    "key", "locks", "work", "failures", "states", "damaged", "history.sqlite", "accelerator.json",
    "sources", "source", "runtime", "tree", "payload", "installed", "layer", "customised",
})  # fmt: skip
"""What is in stores that were made before they had the tag."""


def default_root() -> Path:
    """``IMAGEBUILD_STORE``, else the user's cache folder; for root /var/cache, which QEMU's own user can reach."""
    if chosen := os.environ.get("IMAGEBUILD_STORE"):
        return Path(chosen)
    if os.geteuid() == 0:
        return Path(platformdirs.site_cache_dir("imagebuild"))
    return Path(platformdirs.user_cache_dir("imagebuild"))


def _check_own(root: Path) -> None:
    """Raise HostError unless the folder and what stands in it are this user's, for nobody else to write, and lead nowhere else."""
    for path in (root, *sorted(root.iterdir())):
        if path.name == _LOST:
            continue
        try:
            status = path.stat() if path == root else path.lstat()
        except FileNotFoundError:
            continue  # another process's, which has just removed it
        if not stat.S_ISDIR(status.st_mode) and not stat.S_ISREG(status.st_mode):
            why = f"{path.name} in it is no file and no folder"
            raise HostError(f"the store {root} is not used: {why}", f"look at it: {command_line('ls', '-l', path)}")
        if why_foreign := why_not_own(status):
            what = "it" if path == root else f"{path.name} in it"
            hint = "choose another with --store"
            if status.st_uid == os.geteuid():
                hint += f"; or, if nobody else has written into it: {command_line('chmod', '-R', 'go-w', path)}"
            raise HostError(f"the store {root} is not used: {what} {why_foreign}", hint)


@dataclass(frozen=True)
class StoreEntry:
    """An entry of the store: for which recipe it was made first, when it was used last, and the bytes that it takes."""

    kind: str
    fingerprint: str
    folder: Path
    label: str
    used: float
    size: int


@dataclass(frozen=True)
class _EntryRecord:
    """What ``entry.json`` says: for which recipe an entry was made, when (UTC, ISO 8601), from what; size and digest of each file."""

    label: str
    made: str
    inputs: dict[str, str]
    files: dict[str, tuple[int, str]]


class Store:
    """One folder on one file system. Safe for several builds in several processes."""

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
        self.answers = self.root / _ANSWERS
        """The file of what this host's programs have answered: see imagebuild.host.probe_cache."""

    def _claim(self) -> None:
        """Make sure that the folder is a store and nothing else: what is in one may be removed. Raises HostError if it is not."""
        there = {
            path.name for path in self.root.iterdir() if not path.name.startswith((f".{_TAG_NAME}.", ".key."))
        } - _OF_ANY
        foreign = sorted(there - _OWN if "key" in there else there)
        tag = self.root / _TAG_NAME
        if tag.is_file() and tag.read_bytes()[: len(_TAG)] == _TAG.encode():
            return  # looked at last: another process may be making it
        if foreign:
            raise HostError(
                f"{self.root} is no store: it has {foreign[0]} in it",
                "choose a new or an empty folder with --store; what is in a store may be removed",
            )
        with suppress(OSError):  # a store that cannot be written to
            write_atomically(tag, _TAG)

    def find(self, kind: str, fingerprint: str) -> Path | None:
        """The entry's folder, or None."""
        folder = self.root / kind / fingerprint
        return folder if (folder / _ENTRY).is_file() and not folder.is_symlink() else None

    def take(self, kind: str, fingerprint: str, held: ExitStack, *, prove: bool = True) -> Path | None:
        """The folder of an entry, proved; nobody removes it until ``held`` is closed. None if it is not there.

        One that is damaged is set aside, which the log tells. Who has just made it need not have it proved.
        """
        while (folder := self.find(kind, fingerprint)) is not None:
            descriptor = os.open(folder, _FOLDER)
            held.callback(os.close, descriptor)
            locks.shared(descriptor)
            if not locks.is_still(descriptor, folder):
                continue  # removed or replaced meanwhile
            damage = _damage(folder) if prove else None
            if damage is None:
                with suppress(OSError):  # a store that cannot be written to
                    os.utime(folder / _ENTRY)
                return folder
            self.set_aside(folder, damage)
        return None

    def set_aside(self, path: Path, damage: str) -> None:
        """Move what is not what it should be out of the way; ``gc`` removes it."""
        logger.warning("%s in the store is damaged, and is made again: %s", path.relative_to(self.root), damage)
        aside = self.root / DAMAGED / f"{path.parent.name}-{path.name[:16]}-{secrets.token_hex(_NAME_BYTES)}"
        aside.parent.mkdir(exist_ok=True, mode=_MODE)
        with suppress(FileNotFoundError):  # another process was faster
            path.rename(aside)

    def entries(self) -> Iterator[StoreEntry]:
        """All entries, in no order. What was set aside is none."""
        for path in self.root.glob(f"*/*/{_ENTRY}"):
            if path.parts[-3] == DAMAGED or path.parent.is_symlink() or path.is_symlink():
                continue
            with suppress(OSError, ValueError):
                label, used = read_record(path, _EntryRecord).label, path.stat().st_mtime
                folder = path.parent
                size = sum(allocated(one) for one in folder.rglob("*") if one.is_file() and not one.is_symlink())
                yield StoreEntry(folder.parent.name, folder.name, folder, label, used, size)

    def damaged(self) -> list[Path]:
        """What was set aside."""
        return sorted((self.root / DAMAGED).glob("*"))

    def remove(self, entry: StoreEntry, *, dry_run: bool = False) -> bool:
        """Remove an entry unless somebody has taken it; whether that was, or with ``dry_run`` could be, done."""
        with suppress(FileNotFoundError):
            descriptor = os.open(entry.folder, _FOLDER if entry.kind != "sources" else _FILE)
            try:
                if not locks.free(descriptor):
                    return False
                if dry_run:
                    return True
                aside = self.root / DAMAGED / secrets.token_hex(8)
                aside.parent.mkdir(exist_ok=True, mode=_MODE)
                entry.folder.rename(aside)  # at once: nobody finds half an entry
                remove_tree(aside)
            finally:
                os.close(descriptor)
        return True

    def last(self, kind: str, label: str) -> tuple[Mapping[str, str], Path] | None:
        """The inputs and the folder of the newest entry of this kind that was made for ``label``, or None."""
        newest: tuple[str, Mapping[str, str], Path] | None = None
        for path in (self.root / kind).glob(f"*/{_ENTRY}"):
            with suppress(OSError, ValueError):
                entry = read_record(path, _EntryRecord)
                if entry.label == label and (newest is None or entry.made > newest[0]):
                    newest = entry.made, entry.inputs, path.parent
        return newest[1:] if newest else None

    @contextmanager
    def make(
        self, kind: str, fingerprint: str, *, within: Path, label: str, inputs: Mapping[str, str], replace: bool = False
    ) -> Iterator[Path]:
        """A folder to fill; leaving the block makes it the entry, an exception drops it.

        Until then it stands in ``within``, the run's own folder, and is removed with that should the process die.
        Where another process was faster its entry stays, unless ``replace`` is given.
        """
        final = self.root / kind / fingerprint
        final.parent.mkdir(exist_ok=True, mode=_MODE)
        aside = within / f"{kind}-{secrets.token_hex(_NAME_BYTES)}"
        aside.mkdir()
        replaced = aside.with_name(f"{aside.name}.replaced")
        try:
            yield aside
            files = {name: (size, digest) for name, size, digest in _content(aside)}
            record = _EntryRecord(label, datetime.now(UTC).isoformat(), dict(inputs), files)
            write_record(aside / _ENTRY, record)
            sync_tree(aside)
            if replace and final.exists():
                final.rename(replaced)
            if not final.exists():
                aside.rename(final)
            sync(final.parent)
        finally:
            remove_tree(aside)
            remove_tree(replaced)

    @contextmanager
    def locked(self, name: str, on_wait: Callable[[str], None]) -> Iterator[None]:
        """Hold the lock ``name``, after waiting for whoever has it; ``on_wait`` is told who that is, once."""
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
        told = False
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                if locks.free(descriptor):
                    if os.fstat(descriptor).st_nlink:
                        return descriptor  # still the file of that name, not one its holder removed meanwhile
                else:
                    holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip()
                    if holder and not told:  # it writes its number right after it got the lock
                        on_wait(holder)
                        told = True
                    time.sleep(0.25)
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def clear_locks(self) -> None:
        """Remove the lock files that killed processes left. They lock nothing."""
        for path in (self.root / "locks").glob("*"):
            with suppress(OSError):
                descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    if locks.free(descriptor):
                        path.unlink()  # while holding it: see _acquire
                finally:
                    os.close(descriptor)

    def failure_folder(self, recipe: str) -> Path:
        """An empty folder for what a failed build of ``recipe`` leaves; the one of the time before is gone."""
        folder = self.root / "failures" / recipe
        remove_tree(folder)
        folder.parent.mkdir(exist_ok=True, mode=_MODE)
        folder.mkdir(mode=0o700)
        return folder

    def state(self, name: str) -> str:
        """A short text that was kept under ``name``; empty if none was."""
        with suppress(FileNotFoundError):
            return (self.root / "states" / name).read_text()
        return ""

    def set_state(self, name: str, text: str) -> None:
        """Keep a short text under ``name``."""
        path = self.root / "states" / name
        if self.state(name) != text:
            path.parent.mkdir(exist_ok=True, mode=_MODE)
            write_atomically(path, text)

    def key(self) -> bytes:
        """A random key of this store, for digests that must not be guessed from outside."""
        path = self.root / "key"
        with suppress(FileNotFoundError):
            return path.read_bytes()
        aside = self.root / f".key.{secrets.token_hex(_NAME_BYTES)}"
        write_atomically(aside, secrets.token_bytes(32), mode=0o600)
        with suppress(FileExistsError):  # another process was faster, and its key counts
            path.hardlink_to(aside)
        aside.unlink()
        return path.read_bytes()


def _content(folder: Path) -> Iterator[tuple[str, int, str]]:
    """Each file of an entry: its name, its size in bytes and its digest; of a link what it leads to."""
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            yield name, 0, str(path.readlink())
        elif path.is_file() and name != _ENTRY:
            yield name, path.stat().st_size, content_digest(path)


def _damage(folder: Path) -> str | None:
    """What of an entry is not as it was made; None if all is."""
    try:
        files = read_record(folder / _ENTRY, _EntryRecord).files
        found = {name: (size, digest) for name, size, digest in _content(folder)}
    except (OSError, ValueError) as error:
        return f"{_ENTRY} or a file cannot be read ({error})"
    for name, told in files.items():
        if name not in found:
            return f"{name} is gone"
        if found[name] != told:
            return f"{name} has another content"
    return None
