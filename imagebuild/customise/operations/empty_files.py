"""Empty files: they stay, with their mode and owner, and are zero bytes long.

Paths may hold the wildcards of a shell, and name folders: then all files in them. A path that matches nothing is an error; links are left alone, and
so is what they lead to.
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
    paths: tuple[GuestPath, ...] = Field(min_length=1, description="files or folders; `*`, `?` and `[a-z]` match names")


def apply(guest: Guest, params: Params) -> None:
    for pattern in params.paths:
        found = guest.glob(pattern)
        if not found:
            raise GuestError(f"nothing in the guest matches {pattern}")
        for path in found:
            inside = () if guest.is_symlink(path) else guest.walk(path)
            guest.empty([path, *(inner for inner, _ in inside)])
