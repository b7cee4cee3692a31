"""Truncate files to zero bytes, keeping their mode and owner.

Paths may contain shell wildcards. If a path is a folder, all files below it are emptied. A path
that matches nothing is an error. Links and their targets are left alone.
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
