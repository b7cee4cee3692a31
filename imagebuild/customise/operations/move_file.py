"""Move or rename a file, a link, or a folder with all that is in it.

The folders of the new place are created. What is not at the old place must be at the new one already, or that is an error, and so is another file or folder
at the new place.
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
    path: GuestPath = Field(description="what is moved")
    to: GuestPath = Field(description="its new path, with its new name")


def apply(guest: Guest, params: Params) -> None:
    there = guest.exists(params.to)
    if not guest.exists(params.path):
        if not there:
            raise GuestError(f"{params.path} is not there in the guest")
        return
    if there:
        raise GuestError(f"{params.to} is there already in the guest", "remove-files can take it away before")
    if params.to.startswith(f"{params.path}/"):
        raise GuestError(f"{params.to} is inside of {params.path}")
    guest.rename(params.path, params.to)
