"""The folder of a shelf on disk.

    images/               images, manifests and domain definitions; names with version and digest
    index, streams/, …    documents, each replaced by a rename
    .shelf/record.json    the record
    .shelf/incoming/      files that are being written

Everything is written to ``incoming``, which is on the same file system, fsynced, and renamed. What a
killed process left there is removed by the next.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from imagebuild.errors import HostError, ImageBuildError, UsageError
from imagebuild.files import remove_tree, sync
from imagebuild.host import locks
from imagebuild.printable import one_line
from imagebuild.shelf import record as records
from imagebuild.shelf.record import ShelfRecord, ShelvedFile
from imagebuild.store import beside

IMAGES = "images"
_OWN, _INCOMING, _RECORD = ".shelf", "incoming", "record.json"
_PIECE = 8 << 20
_FOREIGN = ("index", "index.asc", "streams", IMAGES)
_NOT_SUPPORTED = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
Bytes = Callable[[int], None]


class Shelf:
    """A shelf that this process has the lock of; see :func:`opened`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.incoming = root / _OWN / _INCOMING
        self._record = root / _OWN / _RECORD

    def record(self) -> ShelfRecord:
        """The record, empty for a new shelf. Raises UsageError for one that cannot be used, and for a
        folder that has indexes of somebody else.
        """
        hint = "choose another folder; or move what is in it elsewhere, which starts a new shelf with new revisions"
        try:
            content = beside.content_of(self._record, records.LARGEST)
            if content is not None:
                return records.decoded(content)
        except ValueError as error:
            why = str(error).splitlines()[0]
            raise UsageError(f"{self._record} cannot be used: {why}", hint) from error
        for name in _FOREIGN:
            if os.path.lexists(self.root / name):
                raise UsageError(f"{self.root} was not written by `shelf build`, and has its own {name}", hint)
        return records.EMPTY

    def write_record(self, record: ShelfRecord) -> None:
        """Replace the record."""
        self.put(self.write(_RECORD, records.encoded(record)), f"{_OWN}/{_RECORD}")
        sync(self._record.parent)

    def prepare(self, former: ShelfRecord) -> None:
        """Create the folders in which files are served. A new shelf gets its record before: a folder of
        images without one is taken for somebody else's.
        """
        if not os.path.lexists(self._record):
            self.write_record(former)
        for path in (self.root / IMAGES, *_folders(self.root)):
            _folder(path)

    def bring(self, source: Path, item: str, progress: Bytes) -> tuple[Path, ShelvedFile]:
        """A copy of a file in ``incoming``, and what it contains; the caller knows its name.

        It is no hard link: whoever starts a machine from the artifact, or whose libvirt changes the
        owner of its image, would change what is published. File systems that can share blocks
        (Btrfs, XFS) do. ``progress`` gets the bytes of each piece.
        """
        aside = self.incoming / item
        descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb", buffering=0) as given, aside.open("x+b", buffering=0) as copy:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ImageBuildError(f"{source} is not a regular file")
            _copy(given.fileno(), copy.fileno())
            copy.seek(0)
            one, other, size = hashlib.sha256(), hashlib.sha512(), 0
            while block := copy.read(_PIECE):
                one.update(block)
                other.update(block)
                size += len(block)
                progress(len(block))
            os.fchmod(copy.fileno(), 0o644)
            os.fsync(copy.fileno())
        return aside, ShelvedFile(item, "", size, one.hexdigest(), other.hexdigest())

    def write(self, name: str, content: str | bytes) -> Path:
        """A new file in ``incoming``."""
        path = self.incoming / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def put(self, path: Path, name: str) -> None:
        """Rename a file of ``incoming`` to its final place, which replaces what is there."""
        path.chmod(0o644)
        sync(path)
        try:
            path.rename(self.root / name)
        except OSError as error:
            raise HostError(
                f"cannot replace {self.root / name}: {error.strerror}", "remove what is there, or choose another folder"
            ) from error

    def sync(self) -> None:
        """Make all names durable."""
        for folder in (self.root / IMAGES, *_folders(self.root), self.root):
            sync(folder)

    def has(self, file: ShelvedFile) -> bool:
        """Whether a file of this name and size is there; its content is not read."""
        try:
            status = (self.root / IMAGES / file.name).lstat()
        except FileNotFoundError:
            return False
        return stat.S_ISREG(status.st_mode) and status.st_size == file.size

    def is_whole(self, file: ShelvedFile) -> bool:
        """Whether the file is there with its content, which is read."""
        if not self.has(file):
            return False
        with (self.root / IMAGES / file.name).open("rb") as opened_file:
            return hashlib.file_digest(opened_file, "sha512").hexdigest() == file.sha512

    def remove(self, name: str) -> None:
        """Remove a document, if it is there."""
        with suppress(FileNotFoundError):
            (self.root / name).unlink()

    def clear(self, keep: set[str]) -> list[str]:
        """Remove all files of images that are not to be kept. Files with other names stay."""
        gone = []
        for path in sorted((self.root / IMAGES).iterdir()):
            if path.name not in keep and records.is_file_name(path.name) and not path.is_dir():
                path.unlink(missing_ok=True)
                gone.append(path.name)
        return gone


@contextmanager
def opened(root: Path, *, into_existing: bool = False) -> Iterator[Shelf]:
    """The shelf in a folder, which is created, under its lock. Raises HostError if another process has
    the lock, UsageError if it is no place for a shelf: a new one begins in an empty folder unless
    ``into_existing``. A new folder in which nothing was put is removed.
    """
    own, new = root / _OWN, not root.exists()
    if not into_existing:
        _check_empty(root)
    try:
        root.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(f"{root} is not a folder", "choose another one") from error
    if new:
        root.chmod(0o755)
    _folder(own)
    descriptor = os.open(own, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not locks.free(descriptor) or not locks.is_still(descriptor, own):
            raise HostError(f"another process is building the shelf {root}", "try again when it has ended")
        shelf = Shelf(root)
        try:
            remove_tree(shelf.incoming)
            shelf.incoming.mkdir(mode=0o700)
            yield shelf
        finally:
            remove_tree(shelf.incoming)
            with suppress(OSError):  # only if there is nothing in them
                own.rmdir()
                if new:
                    root.rmdir()
    finally:
        os.close(descriptor)


def _check_empty(root: Path) -> None:
    """Raise UsageError for a folder that has files and is no shelf: it may be a home directory."""
    if os.path.lexists(root / _OWN / _RECORD) or not root.is_dir():
        return
    for name in sorted(path.name for path in root.iterdir()):
        if name in _FOREIGN:
            return  # which is refused with a message of its own
        if name not in (_OWN, "lost+found"):
            raise UsageError(
                f"{root} is neither empty nor a shelf: it contains {one_line(name)}",
                "choose a new folder, or put the shelf among these files with --into-existing",
            )


def _folders(root: Path) -> tuple[Path, ...]:
    return root / "streams", root / "streams" / "v1"


def _folder(path: Path) -> None:
    """Create a folder that everybody may read; what is no folder, or a link to one, is not used."""
    if not os.path.lexists(path):
        path.mkdir()
        path.chmod(0o755)
    if path.is_symlink() or not path.is_dir():
        raise UsageError(f"{path} is not a folder", "remove it, or choose another folder for the shelf")


def _copy(source: int, target: int) -> None:
    """Copy a whole file, with shared blocks where the file system can."""
    size = os.fstat(source).st_size
    try:
        while size > 0 and (count := os.copy_file_range(source, target, size)):
            size -= count
    except OSError as error:
        if error.errno not in _NOT_SUPPORTED:
            raise
    while block := os.read(source, _PIECE):  # the rest: the file's position is behind what was copied
        view = memoryview(block)
        while view:
            view = view[os.write(target, view) :]
