"""Real file systems in the libguestfs appliance, filled and read back as a whole."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
    """One disk of a running appliance with an empty file system for each case."""

    def __init__(self, handle: Any, device: str, fstype: str, image: Path, exchange: Path) -> None:
        self.handle = handle
        self._device = device
        self._fstype = fstype
        self._image = image
        self._exchange = exchange
        handle.mkfs(fstype, device)

    @contextmanager
    def filled(self, tree: Tree) -> Iterator[GuestDisk]:
        """The mounted file system, with nothing but ``tree`` on it."""
        self._mount()
        for name in self.handle.ls("/"):
            if name != "lost+found":
                self.handle.rm_rf(f"/{name}")
        self._exchange.write_bytes(archive(tree))
        self.handle.tar_in(str(self._exchange), "/")
        yield GuestDisk(_OneFileSystem(self.handle, self._device, self._fstype, self._image))

    def _mount(self) -> None:
        """Usually left mounted by the previous case: mounting takes longer than many cases."""
        if self.handle.mounts() != [self._device]:
            self.handle.umount_all()
            self.handle.mount(self._device, "/")

    def tree(self) -> Tree:
        """The contents of the file system."""
        self._mount()
        self.handle.tar_out("/", str(self._exchange), excludes=["./lost+found"])
        with tarfile.open(self._exchange) as archive:
            return {f"/{m.name.removeprefix('./')}": _node(archive, m) for m in archive if m.name not in (".", "./")}


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
