"""Copy a file, a link, or a folder with all that is in it, inside the guest.

Modes and owners are copied too. Files at the new place are replaced; what else is in a folder there stays. A file where a folder must be, or a folder where a
file must be, is an error.
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
    path: GuestPath = Field(description="what is copied")
    to: GuestPath = Field(description="the path of the copy, with its name")


def apply(guest: Guest, params: Params) -> None:
    found = guest.stat(params.path)
    if found is None:
        raise GuestError(f"{params.path} is not there in the guest")
    if f"{params.to}/".startswith(f"{params.path}/"):
        raise GuestError(f"{params.to} is inside of {params.path}, or the same")
    # Looked at before the first copy is made: the copies may be linked into the folder.
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
