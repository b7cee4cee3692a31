"""Copy a file or a folder from the build host into the guest.

A file is copied to ``path``, which includes its name. The contents of a folder are copied into the
folder ``path``, next to what is already there. By default the copies are owned by root, files have
mode 0755 if their owner may execute them and 0644 otherwise, and folders have mode 0755: the other
permission bits depend on who checked the files out. Links are copied as links. Files that already
have the same content in the guest are left alone.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from pydantic import Field

from imagebuild.customise import host_inputs
from imagebuild.customise.host_inputs import HostPath
from imagebuild.customise.operation import Params as BaseParams
from imagebuild.customise.operation import Phase
from imagebuild.customise.values import HOST_PATH, GuestPath, Mode, Owner, owner_ids
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CUSTOMISE


class Params(BaseParams):
    source: HostPath = Field(description=HOST_PATH)
    path: GuestPath = Field(description="destination in the guest")
    mode: Mode | None = Field(
        default=None, description='permission bits of the file, such as "0640"; not allowed for a folder'
    )
    owner: Owner = Field(default="0:0", description="user, or user:group, by name or number")


_RUNNABLE, _PLAIN, _FOLDER = 0o755, 0o644, 0o755


def apply(guest: Guest, params: Params) -> None:
    owner = owner_ids(guest, params.owner)
    found = host_inputs.entries(guest.supplies.path(params.source))
    if params.mode is not None and found[0].kind == "dir":
        raise GuestError(
            f"{params.source} is a folder, but mode applies only to files",
            "set-permissions can change the modes afterwards",
        )
    for entry in found:
        path = posixpath.join(params.path, entry.name) if entry.name else params.path
        if entry.kind == "dir":
            guest.create_folder(path, _FOLDER, owner)
        elif entry.kind == "symlink":
            guest.symlink(str(entry.path.readlink()), path)
            guest.chown(path, *owner)
        else:
            mode = params.mode if params.mode is not None else _RUNNABLE if entry.executable else _PLAIN
            guest.put(path, entry.path, mode, owner)
