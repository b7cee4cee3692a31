"""Create a symbolic link.

Anything at its path is replaced, except a folder that is not empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from imagebuild.customise.operation import Params as BaseParams
from imagebuild.customise.operation import Phase
from imagebuild.customise.values import GuestPath, Line
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CUSTOMISE


class Params(BaseParams):
    path: GuestPath = Field(description="path of the link in the guest")
    target: Line = Field(min_length=1, description="its target, absolute or relative to the folder of the link")


def apply(guest: Guest, params: Params) -> None:
    if guest.is_dir(params.path) and guest.listdir(params.path):
        raise GuestError(
            f"{params.path} in the guest is a folder that is not empty", "remove it with remove-files first"
        )
    guest.symlink(params.target, params.path)
