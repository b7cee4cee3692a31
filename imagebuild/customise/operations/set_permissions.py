"""Set the permissions or the owner of files.

Changes what is at a path; links are not followed. A path that does not exist is an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from imagebuild.customise.operation import Params as BaseParams
from imagebuild.customise.operation import Phase
from imagebuild.customise.values import GuestPath, Mode, Owner, owner_ids

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CUSTOMISE


class Params(BaseParams):
    path: GuestPath = Field(description="the file or folder in the guest")
    mode: Mode | None = Field(default=None, description='permission bits, such as "0750"')
    owner: Owner | None = Field(default=None, description="user, or user:group, by name or number")
    recursive: bool = Field(
        default=False,
        description="whether to change the owner of everything below it, too; the mode applies only to the path itself",
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.mode is None and self.owner is None:
            raise ValueError("needs a mode or an owner")
        return self


def apply(guest: Guest, params: Params) -> None:
    if params.owner:
        ids = owner_ids(guest, params.owner)
        guest.chown(params.path, *ids)
        for path, _ in guest.walk(params.path) if params.recursive and guest.is_dir(params.path) else []:
            guest.chown(path, *ids)
    if params.mode is not None:
        guest.chmod(params.path, params.mode)
