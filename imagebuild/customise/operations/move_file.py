"""Move or rename a file, a link, or a folder with all its contents.

Parent folders of the new path are created. If the old path does not exist, the new one must exist
already; otherwise that is an error. Another file or folder at the new path is also an error.
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

PHASE = Phase.CUSTOMISE


class Params(BaseParams):
    path: GuestPath = Field(description="the file, link or folder to move")
    to: GuestPath = Field(description="the new path, including the new name")


def apply(guest: Guest, params: Params) -> None:
    there = guest.exists(params.to)
    if not guest.exists(params.path):
        if not there:
            raise GuestError(f"{params.path} does not exist in the guest")
        return
    if there:
        raise GuestError(f"{params.to} already exists in the guest", "remove it with remove-files first")
    if params.to.startswith(f"{params.path}/"):
        raise GuestError(f"{params.to} is inside {params.path}")
    guest.rename(params.path, params.to)
