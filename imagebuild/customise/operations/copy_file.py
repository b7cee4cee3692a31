"""Copy a file, a link, or a folder with all its contents, inside the guest.

Modes and owners are copied too. Existing files at the destination are replaced; everything else in
a folder there stays. A file where a folder is needed, or a folder where a file is needed, is an
error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from imagebuild.customise.operation import Params as BaseParams
from imagebuild.customise.operation import Phase
from imagebuild.customise.values import GuestPath
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest
    from imagebuild.guest import GuestFile

PHASE = Phase.CUSTOMISE


class Params(BaseParams):
    path: GuestPath = Field(description="the file, link or folder to copy")
    to: GuestPath = Field(description="the path of the copy, including its name")


def apply(guest: Guest, params: Params) -> None:
    found = guest.stat(params.path)
    if found is None:
        raise GuestError(f"{params.path} does not exist in the guest")
    if f"{params.to}/".startswith(f"{params.path}/"):
        raise GuestError(f"{params.to} is the same as {params.path} or inside it")
    # Listed before the first copy is made: the destination may be linked into the folder.
    inside = guest.walk(params.path) if found.kind == "dir" else ()
    for path, entry in [(params.path, found), *inside]:
        _copy(guest, path, params.to + path[len(params.path) :], entry)


def _copy(guest: Guest, path: str, to: str, entry: GuestFile) -> None:
    if entry.kind == "symlink":
        if guest.is_dir(to):
            raise GuestError(f"{to} in the guest is a folder, and {path} is a link")
        guest.symlink(guest.readlink(path), to)
        guest.chown(to, entry.uid, entry.gid)
    elif entry.kind == "dir":
        guest.create_folder(to)
        guest.chown(to, entry.uid, entry.gid)
        guest.chmod(to, entry.mode)
    elif entry.kind == "file":
        guest.copy(path, to)
    else:
        raise GuestError(f"{path} in the guest is neither a file nor a folder nor a link")
