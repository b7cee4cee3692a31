"""Remove files, links and whole folders.

Paths may contain shell wildcards. A path that does not exist is not an error unless `must_exist` is
set.
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
    paths: tuple[GuestPath, ...] = Field(min_length=1, description="paths to remove; `*`, `?` and `[a-z]` match names")
    must_exist: bool = Field(default=False, description="whether a path that matches nothing is an error")


def apply(guest: Guest, params: Params) -> None:
    for pattern in params.paths:
        found = guest.glob(pattern)
        if params.must_exist and not found:
            raise GuestError(f"nothing in the guest matches {pattern}")
        guest.remove(found)
