"""What operations take from the machine that builds: its files, and secrets by reference.

Parameters name both the way a recipe writes them. What stands behind the names is found out before the
appliance starts, and goes along with the call: where each file really is, with its digest, and what each secret is.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, GetCoreSchemaHandler
from pydantic_core import core_schema

from imagebuild.errors import HostError
from imagebuild.schema.document import Route
from imagebuild.schema.fields import file_path
from imagebuild.schema.section import SecretRef


class HostPath(str):
    """A file or folder of the machine that builds; a relative one is relative to the file that names it."""

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(
            lambda text: cls(file_path(text)), core_schema.str_schema(min_length=1)
        )


Reference = HostPath | SecretRef


@dataclass(frozen=True)
class HostEntry:
    """A file, folder or link at or below a host path: its name from there ("" for the thing itself), and where it is.

    Of its permission bits only the owner's right to run it counts: the others depend on who checked it out, and how.
    """

    name: str
    path: Path
    kind: Literal["file", "dir", "symlink"]
    executable: bool


@dataclass(frozen=True)
class Supplies:
    """What stands behind the names: an absolute path with its digest for each path, the words of each secret."""

    paths: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    secrets: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)

    def path(self, name: HostPath) -> Path:
        """Where a file or folder is. Raises HostError if it is not the same any more as when the work was planned."""
        path, sha256 = self.paths[name]
        if digest(Path(path)) != sha256:
            raise HostError(f"{path} has changed since this work was planned", "start again")
        return Path(path)

    def words(self, ref: SecretRef) -> tuple[str, ...]:
        """What a reference stands for: the hash of one password, or any number of public keys."""
        return self.secrets[str(ref)]


NOTHING = Supplies()


def references(value: Any, route: Route = ()) -> Iterator[tuple[Route, Reference]]:
    """All that parameters refer to, with the route to each."""
    if isinstance(value, HostPath | SecretRef):
        yield route, value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from references(getattr(value, name), (*route, name))
    elif isinstance(value, tuple):
        for at, one in enumerate(value):
            yield from references(one, (*route, at))


def entries(root: Path) -> list[HostEntry]:
    """What a host path leads to, folders before what is in them, sorted; a link at the path itself is followed.

    Raises OSError where something cannot be looked at, HostError for what is neither file, folder nor link.
    """
    return list(_entries("", root, root.stat()))


def _entries(name: str, path: Path, found: os.stat_result) -> Iterator[HostEntry]:
    mode = found.st_mode
    if stat.S_ISREG(mode):
        yield HostEntry(name, path, "file", bool(mode & stat.S_IXUSR))
    elif stat.S_ISLNK(mode):
        yield HostEntry(name, path, "symlink", executable=False)
    elif stat.S_ISDIR(mode):
        yield HostEntry(name, path, "dir", executable=True)
        for inner in sorted(path.iterdir()):
            yield from _entries(f"{name}/{inner.name}".lstrip("/"), inner, inner.lstat())
    else:
        raise HostError(f"{path} is neither a file, a folder nor a link")


def digest(root: Path) -> str:
    """SHA-256 over all that ``entries`` tells, and what is in the files. Raises as it does."""
    total = hashlib.sha256()
    for entry in entries(root):
        total.update(f"{entry.kind} {entry.executable} {entry.name}\0".encode("utf-8", "surrogateescape"))
        if entry.kind == "symlink":
            total.update(os.fsencode(entry.path.readlink()))
        elif entry.kind == "file":
            with entry.path.open("rb") as file:
                total.update(hashlib.file_digest(file, "sha256").digest())
        total.update(b"\0")
    return total.hexdigest()
