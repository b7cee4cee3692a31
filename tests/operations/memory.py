"""A guest's file system in memory: as much of POSIX as operations can notice."""

from __future__ import annotations

import fnmatch
import hashlib
import posixpath
import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from imagebuild.errors import GuestError
from imagebuild.guest import Entry, Kind, block
from imagebuild.guest.block import Identifier
from imagebuild.guest.search import LARGEST, Found


@dataclass(frozen=True)
class Node:
    """A file, folder or link: its kind, permission bits, content (a link's target) and owner."""

    kind: Kind
    mode: int
    content: bytes = b""
    uid: int = 0
    gid: int = 0


FOLDER = Node("dir", 0o755)
Tree = dict[str, Node]
"""Path to node. Every node's folder is there too, except ``/``."""


def with_folders(nodes: Mapping[str, Node]) -> Tree:
    """``nodes`` with the folders that they are in."""
    tree: Tree = {}
    for path, node in nodes.items():
        parts = path.strip("/").split("/")
        for end in range(1, len(parts)):
            tree.setdefault("/" + "/".join(parts[:end]), FOLDER)
        tree[path] = node
    return tree


class MemoryDisk:
    """Implements ``imagebuild.customise.files.Files``. ``unused`` is what the next trim gives back, in bytes."""

    def __init__(self, tree: Tree, *, unused: int = 0) -> None:
        self.tree = dict(tree)
        self.unused = unused
        self.devices: list[Identifier] = []
        self.boot_device = "/dev/sda1"

    def realpath(self, path: str) -> str:
        return self._resolved(path, follow_last=True)

    def _resolved(self, path: str, *, follow_last: bool, hops: int = 40) -> str:
        """``path`` without links: like the kernel, from the left, absolute targets from the guest's root."""
        if hops == 0:
            raise GuestError(f"{path}: too many levels of symbolic links")
        done = "/"
        parts = [part for part in path.split("/") if part not in ("", ".")]
        for at, part in enumerate(parts):
            if part == "..":
                done = posixpath.dirname(done)
                continue
            here = posixpath.join(done, part)
            node = self.tree.get(here)
            last = at == len(parts) - 1
            if node is not None and node.kind == "symlink" and (follow_last or not last):
                onward = posixpath.join(done, node.content.decode(), *parts[at + 1 :])
                return self._resolved(onward, follow_last=follow_last, hops=hops - 1)
            if node is None and not last:
                raise GuestError(f"{path}: No such file or directory")
            if node is not None and node.kind != "dir" and not last:
                raise GuestError(f"{path}: Not a directory")
            done = here
        if follow_last and done != "/" and done not in self.tree:
            raise GuestError(f"{path}: No such file or directory")
        return done

    def _followed(self, path: str) -> str:
        """Where a write to ``path`` ends: the target of a link, or a new name in an existing folder."""
        try:
            return self._resolved(path, follow_last=True)
        except GuestError:
            return self._resolved(path, follow_last=False)

    def stat(self, path: str) -> Entry | None:
        try:
            real = self._resolved(path, follow_last=False)
        except GuestError:
            return None
        node = FOLDER if real == "/" else self.tree.get(real)
        return None if node is None else _entry(posixpath.basename(path), node)

    def readlink(self, path: str) -> str:
        return self.tree[self._resolved(path, follow_last=False)].content.decode()

    def read(self, path: str, limit: int) -> bytes:
        return self.tree[self.realpath(path)].content[:limit]

    def listdir(self, path: str) -> list[Entry]:
        real = self.realpath(path).rstrip("/")
        return [_entry(posixpath.basename(p), n) for p, n in self.tree.items() if posixpath.dirname(p) == (real or "/")]

    def search(self, folders: Sequence[str], texts: Sequence[bytes], name: str, skip: Sequence[str]) -> Found:
        prune = [re.compile(fnmatch.translate(pattern)) for pattern in skip]
        found = {
            path: node
            for path, node in self.tree.items()
            if any(f"{path}/".startswith(f"{folder}/") for folder in folders) and not _below(path, prune)
        }
        line = re.compile(b"|".join(b"(?:%s)" % text for text in texts), re.IGNORECASE)
        return Found(
            tuple(
                path
                for path, node in found.items()
                if node.kind == "file" and len(node.content) <= LARGEST
                if any(line.search(one) for one in node.content.split(b"\n"))
            ),
            tuple(path for path in found if re.fullmatch(name, posixpath.basename(path), re.IGNORECASE)),
            tuple((path, node.content.decode()) for path, node in found.items() if node.kind == "symlink"),
        )

    def glob(self, pattern: str) -> list[str]:
        found = [""]
        for part in pattern.strip("/").split("/"):
            found = [f"{folder}/{name}" for folder in found for name in self._matching(folder or "/", part)]
        return found

    def _matching(self, folder: str, part: str) -> list[str]:
        if not re.search(r"[*?[]", part):
            return [part] if self.stat(posixpath.join(folder, part)) else []
        try:
            names = [entry.name for entry in self.listdir(folder)]
        except GuestError:
            return []
        hidden = part.startswith(".")
        return [name for name in names if fnmatch.fnmatchcase(name, part) and (hidden or not name.startswith("."))]

    def write(self, path: str, content: bytes) -> None:
        real = self._followed(path)
        if posixpath.dirname(real) != "/" and posixpath.dirname(real) not in self.tree:
            raise GuestError(f"{path}: No such file or directory")
        self.tree[real] = replace(self.tree.get(real, Node("file", 0o644)), content=content)

    def sha256(self, path: str) -> str:
        return hashlib.sha256(self.tree[self.realpath(path)].content).hexdigest()

    def upload(self, source: Path, path: str) -> None:
        self.write(path, source.read_bytes())

    def chmod(self, mode: int, path: str) -> None:
        real = self.realpath(path)
        self.tree[real] = replace(self.tree[real], mode=mode)

    def chown(self, uid: int, gid: int, path: str) -> None:
        real = self._resolved(path, follow_last=False)
        self.tree[real] = replace(self.tree[real], uid=uid, gid=gid)

    def rename(self, path: str, new: str) -> None:
        real, onward = self._resolved(path, follow_last=False), self._resolved(new, follow_last=False)
        moved = {p: n for p, n in self.tree.items() if p == real or p.startswith(real + "/")}
        self.tree = {p: n for p, n in self.tree.items() if p not in moved}
        self.tree |= {onward + p[len(real) :]: node for p, node in moved.items()}

    def device(self, path: str) -> str:
        return self.boot_device

    def identifiers(self, kinds: Collection[block.Kind]) -> list[Identifier]:
        return [one for one in self.devices if one.kind in kinds]

    def copy(self, path: str, new: str) -> None:
        self.tree[self._followed(new)] = self.tree[self._resolved(path, follow_last=False)]

    def same(self, path: str, other: str) -> bool:
        return self.tree[self.realpath(path)].content == self.tree[self.realpath(other)].content

    def renew_identifiers(self, pairs: Sequence[tuple[Identifier, str]]) -> None:
        new = dict(pairs)
        self.devices = [replace(one, value=new.get(one, one.value)) for one in self.devices]

    def mkdir(self, path: str) -> None:
        parts = path.strip("/").split("/")
        for end in range(1, len(parts) + 1):
            real = self._followed("/" + "/".join(parts[:end]))
            self.tree.setdefault(real, FOLDER)

    def symlink(self, target: str, path: str) -> None:
        self.tree[self._resolved(path, follow_last=False)] = Node("symlink", 0o777, target.encode())

    def remove(self, path: str) -> None:
        real = self._resolved(path, follow_last=False)
        self.tree = {p: n for p, n in self.tree.items() if p != real and not p.startswith(real + "/")}

    def truncate(self, path: str) -> None:
        self.write(path, b"")

    def run(self, argv: Sequence[str], env: Mapping[str, str]) -> str:
        raise GuestError(f"{argv[0]} failed in the guest: no program runs in memory")

    def network(self) -> AbstractContextManager[None]:
        return nullcontext()

    def mountpoints(self) -> list[str]:
        return ["/"]

    def trim(self, mountpoint: str) -> int:
        freed, self.unused = self.unused, 0
        return freed


def _below(path: str, patterns: Sequence[re.Pattern[str]]) -> bool:
    """Whether a path or a folder above it matches."""
    parts = path.split("/")
    return any(pattern.match("/".join(parts[:end])) for end in range(2, len(parts) + 1) for pattern in patterns)


def _entry(name: str, node: Node) -> Entry:
    return Entry(name, node.kind, node.mode, len(node.content), node.uid, node.gid)
