"""The inputs that operations take from the build host: files, and secrets by reference.

Parameters contain both as they are written in a recipe. They are resolved before the appliance
starts, and the result is passed along with the call: the real path of each file, with its digest,
and the value of each secret.
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
    """A file or folder on the build host; a relative path is relative to the file that contains it."""

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(
            lambda text: cls(file_path(text)), core_schema.str_schema(min_length=1)
        )


Reference = HostPath | SecretRef


@dataclass(frozen=True)
class HostEntry:
    """A file, folder or link at or below a host path: its name relative to that path ("" for the
    path itself), and where it is.

    Of its permission bits only the owner's execute permission counts: the others depend on who
    checked it out, and how.
    """

    name: str
    path: Path
    kind: Literal["file", "dir", "symlink"]
    executable: bool


@dataclass(frozen=True)
class Supplies:
    """The resolved inputs: an absolute path with its digest for each path, and the words of each
    secret."""

    paths: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    secrets: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)

    def path(self, name: HostPath) -> Path:
        """The path of a file or folder. Raises HostError if it has changed since the work was
        planned."""
        path, sha256 = self.paths[name]
        if digest(Path(path)) != sha256:
            raise HostError(f"{path} has changed since this work was planned", "start again")
        return Path(path)

    def words(self, ref: SecretRef) -> tuple[str, ...]:
        """The value of a reference: the hash of one password, or any number of public keys."""
        return self.secrets[str(ref)]


NOTHING = Supplies()


def references(value: Any, route: Route = ()) -> list[tuple[Route, Reference]]:
    """Everything that parameters refer to, with the route to each."""
    found: list[tuple[Route, Reference]] = []
    _find(value, route, found)
    return found


def _find(value: Any, route: Route, found: list[tuple[Route, Reference]]) -> None:
    # Most values are plain: they are left out before a route is made for them.
    if isinstance(value, _REFERENCES):
        found.append((route, value))
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            inner = getattr(value, name)
            if isinstance(inner, _WITH_REFERENCES) and inner != ():
                _find(inner, (*route, name), found)
    elif isinstance(value, tuple):
        for at, one in enumerate(value):
            if isinstance(one, _WITH_REFERENCES):
                _find(one, (*route, at), found)


_REFERENCES = (HostPath, SecretRef)
_WITH_REFERENCES = (*_REFERENCES, BaseModel, tuple)


def entries(root: Path) -> list[HostEntry]:
    """Everything at and below a host path, each folder before its contents, sorted; a link at the
    path itself is followed.

    Raises OSError if something cannot be inspected, and HostError for anything other than files,
    folders and links.
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
    """SHA-256 over everything that ``entries`` returns, and over the contents of the files. Raises
    the same errors."""
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
