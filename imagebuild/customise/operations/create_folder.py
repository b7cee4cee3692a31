"""Create a folder.

Parent folders are created as well. If the folder exists, only the mode and owner that are given are
changed. A file or a link in its place is an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from imagebuild.customise.operation import Params as BaseParams
from imagebuild.customise.operation import Phase
from imagebuild.customise.values import GuestPath, Mode, Owner, owner_ids

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CUSTOMISE


class Params(BaseParams):
    path: GuestPath = Field(description="the folder in the guest")
    mode: Mode | None = Field(default=None, description='permission bits; the default for a new folder is "0755"')
    owner: Owner | None = Field(default=None, description="user, or user:group, by name or number")


def apply(guest: Guest, params: Params) -> None:
    owner = owner_ids(guest, params.owner) if params.owner else None
    guest.create_folder(params.path)
    if owner is not None:
        guest.chown(params.path, *owner)
    if params.mode is not None:
        guest.chmod(params.path, params.mode)
