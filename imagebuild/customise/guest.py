"""A guest as operations see it: files to look at and to change, with every change on record."""

from __future__ import annotations

import posixpath
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from imagebuild.customise.facts import Account, accounts, homes
from imagebuild.customise.files import Change, Files, difference
from imagebuild.customise.supplies import NOTHING, Supplies
from imagebuild.errors import GuestError
from imagebuild.files import sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from imagebuild.guest import Entry
    from imagebuild.guest.block import Identifier, Kind
    from imagebuild.guest.search import Found

LARGEST_TEXT = 1 << 20
"""Bytes of the largest file that is read as a text. A guest's file may be of any size; no configuration is."""


class Guest:
    """The vocabulary of operations. What changes something is recorded in ``changes``; what changes nothing is not.

    Texts are UTF-8 with everything else kept as it is (surrogateescape). Paths are absolute.
    """

    def __init__(self, files: Files, supplies: Supplies = NOTHING, *, differences: bool = False) -> None:
        """``supplies`` is what stands behind the names of the host's files and secrets in the operation's parameters."""
        self._files = files
        self.supplies = supplies
        self._differences = differences
        self.changes: list[Change] = []
        self.left: list[Change] = []

    # -- look ------------------------------------------------------------------------------------

    def exists(self, path: str) -> bool:
        """True for anything at ``path``, a dangling link included."""
        return self._files.stat(path) is not None

    def is_file(self, path: str) -> bool:
        """True for a regular file (not for a link to one)."""
        return self._is(path, "file")

    def is_dir(self, path: str) -> bool:
        """True for a folder (not for a link to one)."""
        return self._is(path, "dir")

    def leads_to_folder(self, path: str) -> bool:
        """True for a folder and for a link to one."""
        try:
            return self._is(self._files.realpath(path), "dir")
        except GuestError:
            return False

    def is_symlink(self, path: str) -> bool:
        """True for a symbolic link, dangling or not."""
        return self._is(path, "symlink")

    def size(self, path: str) -> int:
        """Bytes of what is at ``path``, links not followed; 0 if nothing is there."""
        found = self._files.stat(path)
        return found.size if found else 0

    def _is(self, path: str, kind: str) -> bool:
        found = self._files.stat(path)
        return found is not None and found.kind == kind

    def readlink(self, path: str) -> str:
        """Where the link at ``path`` points, as it is written in it."""
        return self._files.readlink(path)

    def realpath(self, path: str) -> str:
        """``path`` without links; GuestError if it leads nowhere."""
        return self._files.realpath(path)

    def real_file(self, path: str) -> str | None:
        """The regular file that ``path`` is or leads to; None if it leads nowhere or to something else."""
        found = self._files.stat(path)
        if found is not None and found.kind == "symlink":
            try:
                path = self._files.realpath(path)
            except GuestError:
                return None
            found = self._files.stat(path)
        return path if found is not None and found.kind == "file" else None

    def read(self, path: str, limit: int = LARGEST_TEXT) -> str:
        """The text of a file, links followed; GuestError if it is none, or larger than ``limit`` bytes."""
        return self.read_bytes(path, limit).decode("utf-8", "surrogateescape")

    def read_bytes(self, path: str, limit: int = LARGEST_TEXT) -> bytes:
        """The content of a file, links followed; GuestError if it is none, or larger than ``limit`` bytes."""
        real = self.real_file(path)
        if real is None:
            # Opening a pipe or a device would wait for ever.
            raise GuestError(f"{path} in the guest is not a file that can be read")
        content = self._files.read(real, limit + 1)
        if len(content) > limit:
            raise GuestError(f"{path} in the guest is larger than {limit} bytes, which no such file should be")
        return content

    def glob(self, *patterns: str) -> list[str]:
        """The paths that match any of the shell patterns, sorted, each once."""
        return sorted({path for pattern in patterns for path in self._files.glob(pattern)})

    def listdir(self, path: str) -> list[Entry]:
        """What is in a folder, sorted by name; nothing if it is not there."""
        real = self._files.stat(path)
        return sorted(self._files.listdir(path), key=lambda entry: entry.name) if real else []

    def walk(self, path: str) -> list[tuple[str, Entry]]:
        """Everything below a folder with its path, folders before what is in them; links are not followed."""
        found: list[tuple[str, Entry]] = []
        for entry in self.listdir(path) if self.is_dir(path) else []:
            inner = posixpath.join(path, entry.name)
            found.append((inner, entry))
            if entry.kind == "dir":
                found += self.walk(inner)
        return found

    def search(self, folders: Sequence[str], texts: Sequence[bytes], name: str, skip: Sequence[str] = ()) -> Found:
        """Files of real folders by a line of theirs, anything there by its name, and all links; see ``imagebuild.guest.search``."""
        return self._files.search(folders, texts, name, skip)

    def stat(self, path: str) -> Entry | None:
        """What is at ``path``, links not followed; None if nothing is."""
        return self._files.stat(path)

    def real_files(self, *patterns: str) -> list[str]:
        """The paths that match any of the shell patterns and are, or lead to, a regular file."""
        return [path for path in self.glob(*patterns) if self.real_file(path)]

    def accounts(self) -> list[Account]:
        """All accounts of the guest."""
        return accounts(self)

    def homes(self) -> list[Account]:
        """Root and all accounts whose home folder exists; each folder once."""
        return homes(self)

    def device(self, path: str) -> str:
        """The device, by its name here, of the file system that a folder is on."""
        return self._files.device(path)

    def mountpoints(self) -> list[str]:
        """Where the guest's file systems are mounted, ``/`` first."""
        return self._files.mountpoints()

    # -- change ----------------------------------------------------------------------------------

    def edit(self, path: str, change: Callable[[str], str], what: str) -> bool:
        """Replace the text of an existing file, links followed, by ``change(text)``; mode, owner and label stay.

        Returns whether that changed anything; then ``what`` is on record.
        """
        real = self.real_file(path)
        if real is None:
            raise GuestError(f"{path} in the guest is not a file that can be edited")
        before = self.read(real)
        after = change(before)
        if after == before:
            return False
        self._files.write(real, after.encode("utf-8", "surrogateescape"))
        self.record(real, what, self._difference(real, before, after))
        return True

    def create(
        self, path: str, content: str | bytes, mode: int = 0o644, what: str = "", owner: tuple[int, int] | None = None
    ) -> None:
        """Make sure that a regular file with this content and mode is at ``path``, with its folders.

        ``owner`` is a user id and a group id; without it a file keeps its owner, and a new one is root's.
        """
        found = self._files.stat(path)
        if isinstance(content, str):
            content = content.encode("utf-8", "surrogateescape")
        before = b""
        if found is not None and found.kind == "file":
            before = self._files.read(path, max(LARGEST_TEXT, len(content) + 1))
            if before == content and self._same(path, found, mode, owner):
                return
        self._make_way(path, found)
        self._files.write(path, content)
        self._settle(path, mode, owner)
        self.record(path, what or ("replaced" if found else "created"), self._difference(path, before, content))

    def put(self, path: str, source: Path, mode: int, owner: tuple[int, int] | None = None) -> None:
        """Make sure that ``path`` is a regular file with the content of the host's file ``source``, of any size. Else as ``create``."""
        found = self._files.stat(path)
        if found is not None and found.kind == "file" and found.size == source.stat().st_size:
            same = self._files.sha256(path) == sha256(source)
            if same and self._same(path, found, mode, owner):
                return
        self._make_way(path, found)
        self._files.upload(source, path)
        self._settle(path, mode, owner)
        self.record(path, "replaced" if found else "created")

    def _same(self, path: str, found: Entry, mode: int, owner: tuple[int, int] | None) -> bool:
        """Whether what was found has the mode and the owner that are asked for, as far as its file system can keep them."""
        if found.mode == mode and owner in (None, (found.uid, found.gid)):
            return True
        self._settle(path, mode, owner)
        return self._files.stat(path) == found

    def _make_way(self, path: str, found: Entry | None) -> None:
        """Let a file be written at ``path``: what is there is no folder and no link, and it has a folder to be in."""
        if found is not None and found.kind == "dir":
            raise GuestError(f"{path} in the guest is a folder")
        if found is not None and found.kind != "file":
            self._files.remove(path)
        self._folders(path)

    def _folders(self, path: str) -> None:
        folder = posixpath.dirname(path)
        if self._files.stat(folder) is None:
            self._files.mkdir(folder)

    def _settle(self, path: str, mode: int, owner: tuple[int, int] | None) -> None:
        if owner is not None:
            self._files.chown(*owner, path)
        # Last: a change of owner takes the bits for set-user-id away.
        self._files.chmod(mode, path)

    def create_folder(self, path: str, mode: int = 0o755, owner: tuple[int, int] = (0, 0)) -> None:
        """Make sure that a folder, or a link to one, is at ``path``; a new one gets this mode and owner."""
        found = self._files.stat(path)
        if found is None:
            self._files.mkdir(path)
            self._settle(path, mode, owner)
            self.record(path, "created")
        elif not self.leads_to_folder(path):
            raise GuestError(f"{path} in the guest is not a folder")

    def replace(self, path: str, content: bytes, what: str) -> None:
        """Give an existing file, links not followed, another content; mode, owner and label stay."""
        self._files.write(path, content)
        self.record(path, what)

    def rename(self, path: str, new: str) -> None:
        """Give what is at ``path`` another path, at which nothing is, with its folders."""
        self._folders(new)
        self._files.rename(path, new)
        stays = posixpath.dirname(path) == posixpath.dirname(new)
        self.record(path, f"renamed to {posixpath.basename(new)}" if stays else f"moved to {new}")

    def copy(self, path: str, new: str) -> None:
        """Make ``new`` a copy of the regular file at ``path``, with its mode and owner, and with its folders."""
        found, there = self._files.stat(path), self._files.stat(new)
        if found is not None and there == replace(found, name=posixpath.basename(new)) and self._files.same(path, new):
            return
        self._make_way(new, there)
        self._files.copy(path, new)
        self.record(new, f"copied from {path}")

    def identifiers(self, kinds: Collection[Kind]) -> list[Identifier]:
        """The identifiers of these kinds on the guest's disks."""
        return self._files.identifiers(kinds)

    def renew_identifiers(self, pairs: Sequence[tuple[Identifier, str]]) -> None:
        """Give what has the first of each pair the second as its identifier. All is unmounted for it, and mounted again.

        What the guest's fstab mounts must be named there by its new identifier already.
        """
        self._files.renew_identifiers(pairs)
        for old, new in pairs:
            self.record(
                f"{old.device}{f' partition {old.number}' if old.number else ''}", f"{old.type} {old.value} is {new}"
            )

    def chmod(self, path: str, mode: int) -> None:
        """Give what is at ``path`` these permission bits. GuestError if it is not there or a link."""
        found = self._files.stat(path)
        if found is None or found.kind == "symlink":
            raise GuestError(f"{path} in the guest is not there, or is a link")
        if found.mode != mode:
            self._files.chmod(mode, path)
            if self._files.stat(path) == found:
                raise GuestError(
                    f"{path} in the guest is on a file system that keeps no permission bits, such as a FAT"
                )
            self.record(path, f"mode {mode:04o}")

    def chown(self, path: str, uid: int, gid: int) -> None:
        """Give what is at ``path``, a link itself and not its target, to a user id and a group id."""
        found = self._files.stat(path)
        if found is None:
            raise GuestError(f"{path} is not there in the guest")
        if (found.uid, found.gid) != (uid, gid):
            self._files.chown(uid, gid, path)
            self.record(path, f"owner {uid}:{gid}")

    def symlink(self, target: str, path: str) -> None:
        """Make sure that ``path`` is a symbolic link to ``target``, with its folders."""
        found = self._files.stat(path)
        if found is not None:
            if found.kind == "symlink" and self._files.readlink(path) == target:
                return
            if found.kind == "file":
                self._files.remove(path)
        self._make_way(path, found)
        self._files.symlink(target, path)
        self.record(path, f"{'replaced by a' if found else 'created a'} link to {target}")

    def remove(self, paths: str | Iterable[str], what: str = "removed") -> None:
        """Remove files, links and whole folders; what is not there is not an error."""
        for path in [paths] if isinstance(paths, str) else paths:
            if self._files.stat(path) is not None:
                self._files.remove(path)
                self.record(path, what)

    def remove_files(self, *patterns: str) -> None:
        """Remove what matches any of the shell patterns, except folders."""
        found = [(path, self._files.stat(path)) for path in self.glob(*patterns)]
        self.remove(path for path, entry in found if entry is not None and entry.kind != "dir")

    def empty(self, path: str) -> None:
        """Make a regular file zero bytes long; its mode, owner and label stay."""
        found = self._files.stat(path)
        if found is not None and found.kind == "file" and found.size > 0:
            self._files.truncate(path)
            self.record(path, "emptied")

    @contextmanager
    def scratch(self, folder: str) -> Iterator[None]:
        """Have an empty folder of root's in the guest while the block runs; what is made in it is off the record."""
        if self._files.stat(folder) is not None:
            self._files.remove(folder)
        try:
            self.create_folder(folder, 0o755)
            yield
        finally:
            self._files.remove(folder)
            self.changes = [one for one in self.changes if not f"{one.path}/".startswith(f"{folder}/")]

    @contextmanager
    def temporary_file(self, path: str, text: str, mode: int) -> Iterator[None]:
        """Have a file in the guest while the block runs, off the record; one that is there already is left alone."""
        if self._files.stat(path) is not None:
            yield
            return
        self._files.write(path, text.encode())
        self._files.chmod(mode, path)
        try:
            yield
        finally:
            self._files.remove(path)

    def run(self, argv: Sequence[str], env: Mapping[str, str] | None = None) -> str:
        """Run a program of the guest in the guest; its standard output.

        GuestError, with what the program said, if it ends with another exit status than 0. What
        it changed must be told with ``record``.
        """
        return self._files.run(argv, env or {})

    def network(self) -> AbstractContextManager[None]:
        """Have a network while the block runs, in an appliance that was started with a network card.

        What ``run`` starts then reaches others and resolves names: libguestfs lends the guest the appliance's
        /etc/resolv.conf for the time of each ``run``. An operation that uses this says so with ``needs_network``.
        """
        return self._files.network()

    def _difference(self, path: str, before: str | bytes, after: str | bytes) -> str:
        """A unified diff, if asked for, of a file that everybody in the guest may read; others may hold secrets."""
        found = self._files.stat(path) if self._differences else None
        return difference(path, before, after) if found is not None and found.mode & 0o004 else ""

    def record(self, path: str, what: str, diff: str = "") -> None:
        """Put a change on record that was not made through the methods above."""
        self.changes.append(Change(path, what, diff))

    def leave(self, path: str, why: str) -> None:
        """Put on record what is of one machine, and stays because nothing can be done about it here."""
        self.left.append(Change(path, why))

    @contextmanager
    def tidying(self) -> Iterator[None]:
        """What is changed while the block runs was not of one machine: it is added, or written in a better way. An audit does not report it."""
        before = len(self.changes)
        yield
        self.changes[before:] = [replace(change, carried=False) for change in self.changes[before:]]

    def trim(self, mountpoint: str) -> int:
        """Give the unused blocks of a file system back to the disk image; how many bytes the image shrank by.

        Less than 1 MiB is no change: the host's own bookkeeping of the image moves by some blocks.
        """
        freed = self._files.trim(mountpoint)
        if freed >= 1 << 20:
            self.record(mountpoint, f"gave back {freed / (1 << 20):.1f} MiB")
        return freed
