"""Write a file.

Creates the file and its parent folders, or replaces it. The content is a text or a file of the
build host; `copy-in` copies large files and folders. Without an owner, a new file is owned by root
and an existing file keeps its owner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from imagebuild.customise import content
from imagebuild.customise.content import ContentParams
from imagebuild.customise.host_inputs import HostPath
from imagebuild.customise.operation import Phase
from imagebuild.customise.values import GuestPath, Mode, Owner, owner_ids

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CUSTOMISE


class Params(ContentParams):
    path: GuestPath = Field(description="path of the file in the guest")
    text: str | None = Field(default=None, description="its content; no line break is added at the end")
    file: HostPath | None = Field(default=None, description=content.FILE)
    mode: Mode = Field(default=0o644, description='permission bits, such as "0640"')
    owner: Owner | None = Field(default=None, description="user, or user:group, by name or number")


def apply(guest: Guest, params: Params) -> None:
    owner = owner_ids(guest, params.owner) if params.owner else None
    guest.create(params.path, content.of(guest, params), mode=params.mode, owner=owner)
