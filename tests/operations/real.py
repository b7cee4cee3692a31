"""Real file systems in the libguestfs appliance, filled and read back as a whole."""

from __future__ import annotations

import io
import stat
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from imagebuild.files import is_utf8
from imagebuild.guest import GuestDisk, Kind
from imagebuild.guest.session import Session
from tests.operations.memory import Node, Tree

_TYPES: dict[Kind, bytes] = {
    "file": tarfile.REGTYPE,
    "dir": tarfile.DIRTYPE,
    "symlink": tarfile.SYMTYPE,
    "other": tarfile.FIFOTYPE,
}


class _OneFileSystem(Session):
    """A guest that consists of one file system, whatever its contents."""

    def __init__(self, handle: Any, device: str, fstype: str, image: Path) -> None:
        super().__init__(lambda: handle, [image], "raw")
        self.places = {"/": device}
        self._types = {device: fstype}

    def mount(self) -> None:
        self.g.mount(self.places["/"], "/")
        self._unmounted = False


class Scratch:
    """One disk of a running appliance with an empty file system for each case.

    A small tree is written, read and removed by calls that the appliance's daemon carries out
    itself: an emulated machine takes longer to start tar or rm once than for fifty of these.
    """

    def __init__(self, handle: Any, device: str, fstype: str, image: Path, exchange: Path) -> None:
        self.handle = handle
        self._device = device
        self._fstype = fstype
        self._image = image
        self._exchange = exchange
        self._left: Tree | None = {}
        """What is on the file system, if that is known."""
        handle.mkfs(fstype, device)

    @contextmanager
    def filled(self, tree: Tree) -> Iterator[GuestDisk]:
        """The mounted file system, with nothing but ``tree`` on it."""
        self._mount()
        self._clear()
        self._left = None
        if _is_small(tree):
            for path, node in tree.items():
                self._make(path, node)
        else:
            self._exchange.write_bytes(archive(tree))
            self.handle.tar_in(str(self._exchange), "/")
        yield GuestDisk(_OneFileSystem(self.handle, self._device, self._fstype, self._image))

    def _mount(self) -> None:
        """Usually left mounted by the previous case: mounting takes longer than many cases."""
        if self.handle.mounts() != [self._device]:
            self.handle.umount_all()
            self.handle.mount(self._device, "/")

    def _clear(self) -> None:
        if self._left is not None and _is_small(self._left):
            for path, node in reversed(self._left.items()):
                (self.handle.rmdir if node.kind == "dir" else self.handle.rm)(path)
            return
        for name in self.handle.ls("/"):
            if name != "lost+found":
                self.handle.rm_rf(f"/{name}")

    def _make(self, path: str, node: Node) -> None:
        if node.kind == "symlink":
            self.handle.ln_s(node.content.decode(), path)
            return
        if node.kind == "dir":
            self.handle.mkdir(path)
        else:
            self.handle.write(path, node.content)
        self.handle.chmod(node.mode, path)
        if (node.uid, node.gid) != (0, 0):
            self.handle.chown(node.uid, node.gid, path)

    def tree(self) -> Tree:
        """The contents of the file system."""
        self._mount()
        try:
            self._left = dict(self._read("/"))
        except UnicodeDecodeError:  # a name that Python's binding cannot give
            return self._unpacked()
        return dict(self._left)

    def _read(self, folder: str) -> Iterator[tuple[str, Node]]:
        names = [name for name in self.handle.ls(folder) if f"{folder}{name}" != "/lost+found"]
        for name, found in zip(names, self.handle.lstatnslist(folder, names) if names else [], strict=True):
            path, mode, owner = f"{folder}{name}", found["st_mode"], (found["st_uid"], found["st_gid"])
            if stat.S_ISLNK(mode):
                yield path, Node("symlink", 0o777, self.handle.readlink(path).encode(), *owner)
            elif stat.S_ISDIR(mode):
                yield path, Node("dir", stat.S_IMODE(mode), b"", *owner)
                yield from self._read(f"{path}/")
            elif stat.S_ISREG(mode):
                yield path, Node("file", stat.S_IMODE(mode), self._content(path, found["st_size"]), *owner)
            else:
                yield path, Node("other", stat.S_IMODE(mode), b"", *owner)

    def _content(self, path: str, size: int) -> bytes:
        content: bytes = self.handle.pread(path, size, 0) if size < 1 << 20 else self.handle.read_file(path)
        assert len(content) == size
        return content

    def _unpacked(self) -> Tree:
        self.handle.tar_out("/", str(self._exchange), excludes=["./lost+found"])
        with tarfile.open(self._exchange) as archive:
            return {f"/{m.name.removeprefix('./')}": _node(archive, m) for m in archive if m.name not in (".", "./")}


def _is_small(tree: Tree) -> bool:
    """Whether it is made sooner by calls for each node: a link takes a program of its own."""
    links = sum(node.kind == "symlink" for node in tree.values())
    plain = all(node.kind != "other" and not node.same for node in tree.values())
    return plain and len(tree) <= 40 and links <= 1 and all(map(is_utf8, tree))


def archive(tree: Tree) -> bytes:
    """``tree`` as a tar archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        written: dict[str, str] = {}
        for path, node in tree.items():
            member = tarfile.TarInfo(f".{path}")
            member.type = _TYPES[node.kind]
            member.mode = node.mode
            member.uid, member.gid = node.uid, node.gid
            if node.kind == "symlink":
                member.linkname = node.content.decode()
                archive.addfile(member)
            elif node.same in written and node.same:
                member.type, member.linkname = tarfile.LNKTYPE, written[node.same]
                archive.addfile(member)
            else:
                member.size = len(node.content)
                written[node.same] = member.name
                archive.addfile(member, io.BytesIO(node.content))
    return buffer.getvalue()


def _node(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Node:
    owner = (member.uid, member.gid)
    if member.issym():
        return Node("symlink", 0o777, member.linkname.encode(), *owner)
    if member.isdir():
        return Node("dir", member.mode, b"", *owner)
    if member.isfifo():
        return Node("other", member.mode, b"", *owner)
    extracted = archive.extractfile(member)
    assert extracted is not None
    return Node("file", member.mode, extracted.read(), *owner)
