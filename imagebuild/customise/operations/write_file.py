"""Write a file.

Creates it with its folders, or replaces it. Without an owner a new file is root's and an old one keeps its own.
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
    path: GuestPath = Field(description="where the file is in the guest")
    text: str = Field(description="what is in it; a line break at the end is up to you")
    mode: Mode = Field(default=0o644, description='permission bits, such as "0640"')
    owner: Owner | None = Field(default=None, description="user, or user:group, by name or number")


def apply(guest: Guest, params: Params) -> None:
    owner = owner_ids(guest, params.owner) if params.owner else None
    guest.create(params.path, params.text, mode=params.mode, owner=owner)
