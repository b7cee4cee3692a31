"""A guest as operations see it: files to inspect and to change, with a record of every change."""

from __future__ import annotations

import posixpath
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from imagebuild.customise.files import Files, difference
from imagebuild.customise.host_inputs import NOTHING, Supplies
from imagebuild.customise.view import LARGEST_TEXT, View, shown
from imagebuild.errors import GuestError, GuestFileError
from imagebuild.files import sha256
from imagebuild.schema.customised import Change

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from imagebuild.guest import GuestFile
    from imagebuild.guest.block import Identifier, Kind

_MOST_LISTED = 100
"""The number of files of one folder that are recorded individually when they are removed together;
above it, only their number is recorded."""


class Guest(View):
    """The methods available to operations. Methods that change something record it in ``changes``;
    the others do not."""

    def __init__(self, files: Files, supplies: Supplies = NOTHING, *, differences: bool = False) -> None:
        """``supplies`` contains what the host files and secrets in the operation's parameters refer
        to."""
        super().__init__(files)
        self.supplies = supplies
        self._differences = differences
        self.changes: list[Change] = []
        self.left: list[Change] = []

    def edit(self, path: str, change: Callable[[str], str], what: str) -> bool:
        """Replace the text of an existing file, following links, by ``change(text)``; mode, owner
        and label stay.

        Returns whether that changed anything; if so, ``what`` is recorded.
        """
        real = self.real_file(path)
        if real is None:
            raise GuestFileError(path, "is not a file that can be edited")
        before = self.read(real)
        after = change(before)
        if after == before:
            return False
        self._write(real, after.encode("utf-8", "surrogateescape"), before.encode("utf-8", "surrogateescape"))
        self.record(real, what, self._difference(real, before, after))
        return True

    def create(
        self, path: str, content: str | bytes, mode: int = 0o644, what: str = "", owner: tuple[int, int] | None = None
    ) -> None:
        """Make sure that ``path`` is a regular file with this content and mode; parent folders are
        created.

        ``owner`` is a user id and a group id; without it, an existing file keeps its owner, and a
        new one is owned by root.
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
        self._write(path, content, before if found is not None and found.size == len(before) else None)
        self._settle(path, mode, owner)
        self.record(path, what or ("replaced" if found else "created"), self._difference(path, before, content))

    def _write(self, path: str, content: bytes, before: bytes | None) -> None:
        """Write a file; if that fails, as on a full file system, restore what it contained
        ``before``."""
        was = self._files.stat(path)
        try:
            self._files.write(path, content)
        except GuestFileError:
            with suppress(GuestError):
                if was is None:
                    self._files.remove([path])
                elif before is not None:
                    self._files.write(path, before)
            raise

    def put(self, path: str, source: Path, mode: int, owner: tuple[int, int] | None = None) -> None:
        """Make sure that ``path`` is a regular file with the content of the host file ``source``,
        of any size. Otherwise like ``create``."""
        found = self._files.stat(path)
        if found is not None and found.kind == "file" and found.size == source.stat().st_size:
            same = self._files.sha256(path) == sha256(source)
            if same and self._same(path, found, mode, owner):
                return
        self._make_way(path, found)
        self._files.upload(source, path)
        self._settle(path, mode, owner)
        self.record(path, "replaced" if found else "created")

    def _same(self, path: str, found: GuestFile, mode: int, owner: tuple[int, int] | None) -> bool:
        """Whether the existing file has the requested mode and owner, as far as its file system can
        store them."""
        if found.mode == mode and owner in (None, (found.uid, found.gid)):
            return True
        self._settle(path, mode, owner)
        return self._files.stat(path) == found

    def _make_way(self, path: str, found: GuestFile | None) -> None:
        """Make it possible to write a file at ``path``: it must not be a folder, a link there is
        removed, and its folder is created."""
        if found is not None and found.kind == "dir":
            raise GuestFileError(path, "is a folder")
        if found is not None and found.kind != "file":
            self._remove(path)
        self._folders(path)

    def _folders(self, path: str) -> None:
        folder = posixpath.dirname(path)
        if self._files.stat(folder) is None:
            self._files.mkdir(folder)

    def _settle(self, path: str, mode: int, owner: tuple[int, int] | None) -> None:
        if owner is not None:
            self._files.chown(*owner, path)
        # The mode comes last: a change of owner clears the set-user-ID bit.
        self._files.chmod(mode, path)

    def create_folder(self, path: str, mode: int = 0o755, owner: tuple[int, int] = (0, 0)) -> None:
        """Make sure that a folder, or a link to one, is at ``path``; a new one gets this mode and
        owner."""
        found = self._files.stat(path)
        if found is None:
            self._files.mkdir(path)
            self._settle(path, mode, owner)
            self.record(path, "created")
        elif not self.leads_to_folder(path):
            raise GuestFileError(path, "is not a folder")

    def replace(self, path: str, content: bytes, what: str) -> None:
        """Replace the content of an existing file, without following links; mode, owner and label
        stay."""
        self._files.write(path, content)
        self.record(path, what)

    def rename(self, path: str, new: str) -> None:
        """Move what is at ``path`` to another path, where nothing must exist; parent folders are
        created."""
        self._folders(new)
        self._files.rename(path, new)
        stays = posixpath.dirname(path) == posixpath.dirname(new)
        self.record(path, f"renamed to {posixpath.basename(new)}" if stays else f"moved to {new}")

    def copy(self, path: str, new: str) -> None:
        """Copy the regular file at ``path`` to ``new``, with its mode and owner; parent folders are
        created."""
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
        """Change the identifier of everything that has the first of a pair to the second. All file
        systems are unmounted for it, and mounted again.

        The file systems in the guest's fstab must already be listed there with their new
        identifiers.
        """
        self._files.renew_identifiers(pairs)
        for old, new in pairs:
            self.record(
                f"{old.device}{f' partition {old.number}' if old.number else ''}", f"{old.type} {old.value} is {new}"
            )

    @contextmanager
    def boot_partitions(self) -> Iterator[list[str]]:
        """Mount everything that the guest may boot from while the block runs; yields the path of
        each of these partitions.

        This includes partitions that its fstab does not list: EFI system partitions and others with
        a boot loader's files. In records and in errors, a path on one of these is written as
        ``DEVICE:PATH``.
        """
        before = {*self.mountpoints()}
        with self._files.boot_partitions() as devices:
            private = {place: device for place, device in devices.items() if place not in before}

            def shown(text: str) -> str:
                for place, device in private.items():
                    text = text.replace(f"{place}/", f"{device}:/")
                return text

            known = len(self.changes)
            try:
                yield list(devices)
            except GuestError as error:
                raise GuestError(shown(error.message), error.hint) from error
            finally:
                self.changes[known:] = [
                    replace(one, path=shown(one.path), diff=shown(one.diff)) for one in self.changes[known:]
                ]

    def chmod(self, path: str, mode: int) -> None:
        """Set the permission bits of what is at ``path``. GuestError if it does not exist or is a
        link."""
        found = self._files.stat(path)
        if found is None or found.kind == "symlink":
            raise GuestError(f"{path} does not exist in the guest, or is a link")
        if found.mode != mode:
            self._files.chmod(mode, path)
            if self._files.stat(path) == found:
                raise GuestError(f"{path} in the guest is on a file system without permission bits, such as FAT")
            self.record(path, f"mode {mode:04o}")

    def chown(self, path: str, uid: int, gid: int) -> None:
        """Set the user id and group id of what is at ``path``; of a link itself, not its target."""
        found = self._files.stat(path)
        if found is None:
            raise GuestError(f"{path} does not exist in the guest")
        if (found.uid, found.gid) != (uid, gid):
            self._files.chown(uid, gid, path)
            self.record(path, f"owner {uid}:{gid}")

    def symlink(self, target: str, path: str) -> None:
        """Make sure that ``path`` is a symbolic link to ``target``; parent folders are created.
        Nothing is done if both are the same place behind links."""
        found = self._files.stat(path)
        if found is not None and self._place(path) == self._place(posixpath.join(posixpath.dirname(path), target)):
            return
        if found is not None:
            if found.kind == "symlink" and self._files.readlink(path) == target:
                return
            if found.kind == "file":
                self._remove(path)
        self._make_way(path, found)
        self._files.symlink(target, path)
        self.record(path, f"{'replaced by a' if found else 'created a'} link to {target}")

    def _place(self, path: str) -> str:
        """``path`` with the links in its folders resolved, as far as these exist."""
        folder, name = posixpath.split(posixpath.normpath(path))
        return posixpath.join(self.realpath(folder), name) if self.leads_to_folder(folder) else path

    def remove(self, paths: str | Iterable[str], what: str = "removed") -> None:
        """Remove files, links and whole folders. A path that does not exist is not an error. A path
        that cannot be removed is recorded as not done."""
        there = [path for path in ([paths] if isinstance(paths, str) else paths) if self._files.stat(path) is not None]
        if there:
            self._record_all(there, self._files.remove(there), what)

    def clear(self, folder: str, keep: Sequence[str] = (), what: str = "removed") -> None:
        """Remove everything in a folder, or in the folder that a link leads to, except some names.
        Otherwise like ``remove``."""
        real = self.sweepable(folder)
        if real is None:
            return
        cleared = self._files.clear(real, keep)
        self._record_all([posixpath.join(folder, name) for name in cleared.names], {}, what)
        for path, reason in cleared.left.items():
            self.not_done(path, reason)
        if cleared.count > len(cleared.names):
            self.record(folder, f"{what} all {cleared.count} files and folders in it")

    def _remove(self, path: str) -> None:
        """Remove one thing that is going to be replaced by something else."""
        for left, reason in self._files.remove([path]).items():
            raise GuestFileError(left, reason)

    def _record_all(self, paths: Sequence[str], failed: Mapping[str, str], what: str) -> None:
        """Record what was done to many files; for a folder with very many of them, only their
        number."""
        for path, reason in failed.items():
            self.not_done(path, reason)
        done = [path for path in dict.fromkeys(paths) if path not in failed]
        numbers = Counter(map(posixpath.dirname, done))
        for path in done:
            if numbers[posixpath.dirname(path)] <= _MOST_LISTED:
                self.record(path, what)
        for folder, number in numbers.items():
            if number > _MOST_LISTED:
                self.record(folder, f"{what} {number} files and folders in it")

    def remove_files(self, *patterns: str) -> None:
        """Remove everything that matches any of the shell patterns, except folders."""
        found = [(path, self._files.stat(path)) for path in self.sweep(*patterns)]
        self.remove(path for path, entry in found if entry is not None and entry.kind != "dir")

    def empty(self, paths: str | Iterable[str]) -> None:
        """Truncate regular files to zero bytes; mode, owner and label stay. Other names of the same
        file (hard links) keep its content.

        Everything else is left alone. A file that cannot be emptied is recorded as not done.
        """
        found = {path: self._files.stat(path) for path in ([paths] if isinstance(paths, str) else paths)}
        full = [path for path, entry in found.items() if entry is not None and entry.kind == "file" and entry.size > 0]
        if full:
            self._record_all(full, self._files.empty(full), "emptied")

    @contextmanager
    def scratch(self, folder: str) -> Iterator[None]:
        """Provide an empty folder owned by root in the guest while the block runs; what is created
        in it is not recorded."""
        if self._files.stat(folder) is not None:
            self._remove(folder)
        try:
            self.create_folder(folder, 0o755)
            yield
        finally:
            self._files.remove([folder])
            self.changes = [one for one in self.changes if not f"{one.path}/".startswith(f"{folder}/")]

    @contextmanager
    def temporary_file(self, path: str, text: str, mode: int) -> Iterator[None]:
        """Provide a file in the guest while the block runs, without recording it; an existing one
        is left alone."""
        if self._files.stat(path) is not None:
            yield
            return
        self._files.write(path, text.encode())
        self._files.chmod(mode, path)
        try:
            yield
        finally:
            self._files.remove([path])

    def run(self, argv: Sequence[str], env: Mapping[str, str] | None = None) -> str:
        """Run a program of the guest in the guest, and return its standard output.

        Raises GuestError with the program's output if its exit status is not 0. The caller must
        report what it changed with ``record``.
        """
        return self._files.run(argv, env or {})

    def network(self) -> AbstractContextManager[None]:
        """Provide a network while the block runs, in an appliance that was started with a network
        card.

        Programs started by ``run`` can then reach other hosts and resolve names: libguestfs lends
        the guest the appliance's /etc/resolv.conf for the duration of each ``run``. An operation
        that uses this declares it with ``needs_network``.
        """
        return self._files.network()

    def _difference(self, path: str, before: str | bytes, after: str | bytes) -> str:
        """A unified diff, if requested, of a file that everybody in the guest may read; other files
        may contain secrets."""
        found = self._files.stat(path) if self._differences else None
        return difference(path, before, after) if found is not None and found.mode & 0o004 else ""

    def record(self, path: str, what: str, diff: str = "") -> None:
        """Record a change that was not made through the methods above."""
        self.changes.append(Change(shown(path), what, diff))

    def leave(self, path: str, why: str) -> None:
        """Record something machine-specific that stays because it cannot be changed here."""
        self.left.append(Change(shown(path), why))

    @contextmanager
    def tidying(self) -> Iterator[None]:
        """Mark the changes made while the block runs as not machine-specific: something is added,
        or written more cleanly. An audit does not report them."""
        before = len(self.changes)
        yield
        self.changes[before:] = [replace(change, carried=False) for change in self.changes[before:]]

    def wipe_unused(self) -> list[str]:
        """Zero the unused space on the disks, and discard it from their image. Returns what could
        not be wiped, and why, one line each.

        Less than 1 MiB discarded is not a change: the host's own metadata of the image moves by
        some blocks.
        """
        freed, left = self._files.wipe_unused()
        if freed >= 1 << 20:
            self.record("/", f"discarded {freed / (1 << 20):.1f} MiB")
        return left
