"""A guest's file system in memory: the part of POSIX that operations can observe."""

from __future__ import annotations

import fnmatch
import hashlib
import os
import posixpath
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from imagebuild.errors import GuestError, GuestFileError
from imagebuild.guest import Cleared, GuestFile, Kind, Lookup, block
from imagebuild.guest.block import Identifier
from imagebuild.guest.text_search import LARGEST, SearchResult


@dataclass(frozen=True)
class Node:
    """A file, folder or link: its kind, permission bits, content (a link's target) and owner.

    ``same`` is one word for all names of a file that has several (hard links).
    """

    kind: Kind
    mode: int
    content: bytes = b""
    uid: int = 0
    gid: int = 0
    same: str = field(default="", compare=False)


FOLDER = Node("dir", 0o755)
Tree = dict[str, Node]
"""Path to node. The folder of every node is included, except ``/``."""


def with_folders(nodes: Mapping[str, Node]) -> Tree:
    """``nodes`` with their parent folders."""
    tree: Tree = {}
    for path, node in nodes.items():
        parts = path.strip("/").split("/")
        for end in range(1, len(parts)):
            tree.setdefault("/" + "/".join(parts[:end]), FOLDER)
        tree[path] = node
    return tree


class MemoryDisk(Lookup):
    """Implements ``imagebuild.customise.files.Files``. ``unused`` is the number of bytes that the
    next trim discards."""

    def __init__(self, tree: Tree, *, unused: int = 0) -> None:
        self.tree = dict(tree)
        self.unused = unused
        self.stuck: dict[str, str] = {}
        """Paths of files that nothing can be done to, with the reasons."""
        self.devices: list[Identifier] = []
        self.boot_device = "/dev/sda1"
        self.partitions: dict[str, Tree] = {}
        """What the partitions have that the guest may boot from and that are not mounted, by their
        devices."""
        self.boot_places: dict[str, str] = {}
        """The device at each place where one is mounted."""

    def lookup(self, folder: str, name: str) -> GuestFile | None:
        node = self.tree.get(posixpath.join(folder, name))
        return None if node is None else self._entry(name, node)

    def _entry(self, name: str, node: Node) -> GuestFile:
        names = sum(1 for one in self.tree.values() if one.same == node.same) if node.same else 1
        target = os.fsdecode(node.content) if node.kind == "symlink" else ""
        size = len(node.content)
        return GuestFile(name, node.kind, node.mode, size, node.uid, node.gid, links=names, target=target)

    def entries(self, folder: str) -> list[GuestFile]:
        return [self._entry(posixpath.basename(p), n) for p, n in self.tree.items() if posixpath.dirname(p) == folder]

    def _followed(self, path: str) -> str:
        """Where a write to ``path`` ends: the target of a link, or a new name in an existing
        folder."""
        try:
            return self.realpath(path)
        except GuestError:
            return self.plain(path)

    def read(self, path: str, limit: int) -> bytes:
        return self.tree[self.realpath(path)].content[:limit]

    def search(self, folders: Sequence[str], texts: Sequence[bytes], name: str, skip: Sequence[str]) -> SearchResult:
        prune = [re.compile(fnmatch.translate(pattern)) for pattern in skip]
        found = {
            path: node
            for path, node in self.tree.items()
            if any(f"{path}/".startswith(f"{folder}/") for folder in folders) and not _below(path, prune)
        }
        line = re.compile(b"|".join(b"(?:%s)" % text for text in texts), re.IGNORECASE)
        return SearchResult(
            tuple(
                path
                for path, node in found.items()
                if node.kind == "file" and len(node.content) <= LARGEST
                if any(line.search(one) for one in node.content.split(b"\n"))
            ),
            tuple(path for path in found if re.fullmatch(name, posixpath.basename(path), re.IGNORECASE)),
            tuple((path, node.content.decode()) for path, node in found.items() if node.kind == "symlink"),
        )

    def write(self, path: str, content: bytes) -> None:
        real = self._followed(path)
        if posixpath.dirname(real) != "/" and posixpath.dirname(real) not in self.tree:
            raise GuestFileError(path, "No such file or directory")
        if real in self.stuck:
            raise GuestFileError(path, self.stuck[real])
        self.tree[real] = replace(self.tree.get(real, Node("file", 0o644)), content=content, same="")

    def sha256(self, path: str) -> str:
        return hashlib.sha256(self.tree[self.realpath(path)].content).hexdigest()

    def upload(self, source: Path, path: str) -> None:
        self.write(path, source.read_bytes())

    def chmod(self, mode: int, path: str) -> None:
        real = self.realpath(path)
        self.tree[real] = replace(self.tree[real], mode=mode)

    def chown(self, uid: int, gid: int, path: str) -> None:
        real = self.plain(path)
        self.tree[real] = replace(self.tree[real], uid=uid, gid=gid)

    def rename(self, path: str, new: str) -> None:
        real, onward = self.plain(path), self.plain(new)
        moved = {p: n for p, n in self.tree.items() if p == real or p.startswith(real + "/")}
        self.tree = {p: n for p, n in self.tree.items() if p not in moved}
        self.tree |= {onward + p[len(real) :]: node for p, node in moved.items()}

    def device(self, path: str) -> str:
        return self.boot_device

    def identifiers(self, kinds: Collection[block.Kind]) -> list[Identifier]:
        return [one for one in self.devices if one.kind in kinds]

    @contextmanager
    def boot_partitions(self) -> Iterator[dict[str, str]]:
        made = {f"/.imagebuild-{number}": device for number, device in enumerate(self.partitions)}
        for place, device in made.items():
            self.tree[place] = FOLDER
            self.tree |= {place + path: node for path, node in self.partitions[device].items()}
        try:
            yield self.boot_places | made
        finally:
            for place, device in made.items():
                here = {p: n for p, n in self.tree.items() if p == place or p.startswith(place + "/")}
                self.tree = {p: n for p, n in self.tree.items() if p not in here}
                self.partitions[device] = {p[len(place) :]: n for p, n in here.items() if p != place}

    def copy(self, path: str, new: str) -> None:
        self.tree[self._followed(new)] = self.tree[self.plain(path)]

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
        self.tree[self.plain(path)] = Node("symlink", 0o777, os.fsencode(target))

    def remove(self, paths: Sequence[str]) -> dict[str, str]:
        reals = {path: self.plain(path) for path in paths if self.stat(path) is not None}
        failed = {path: self.stuck[real] for path, real in reals.items() if real in self.stuck}
        gone = {real for path, real in reals.items() if path not in failed}
        self.tree = {path: node for path, node in self.tree.items() if not gone.intersection(_above(path))}
        return failed

    def clear(self, path: str, keep: Sequence[str] = ()) -> Cleared:
        real = self.folder(path)
        names = tuple(one.name for one in self.entries(real) if one.name not in keep)
        left = self.remove([posixpath.join(real, name) for name in names])
        return Cleared(
            len(names) - len(left), tuple(one for one in names if posixpath.join(real, one) not in left), left
        )

    def empty(self, paths: Sequence[str]) -> dict[str, str]:
        failed = {path: self.stuck[self.plain(path)] for path in paths if self.plain(path) in self.stuck}
        for path in paths:
            if path not in failed:
                self.write(path, b"")
        return failed

    def run(self, argv: Sequence[str], env: Mapping[str, str]) -> str:
        raise GuestError(f"{argv[0]} failed in the guest: no program runs in memory")

    def network(self) -> AbstractContextManager[None]:
        return nullcontext()

    def mountpoints(self) -> list[str]:
        return ["/", *self.boot_places]

    def wipe_unused(self) -> tuple[int, list[str]]:
        freed, self.unused = self.unused, 0
        return freed, []


def _above(path: str) -> set[str]:
    """A path and its parent folders."""
    return {path[:at] for at, char in enumerate(path) if char == "/"} | {path}


def _below(path: str, patterns: Sequence[re.Pattern[str]]) -> bool:
    """Whether a path or one of its parent folders matches."""
    parts = path.split("/")
    return any(pattern.match("/".join(parts[:end])) for end in range(2, len(parts) + 1) for pattern in patterns)
