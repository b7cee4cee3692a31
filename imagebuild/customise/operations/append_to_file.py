"""Append text to a file, once.

A file that already contains the text is left alone. A missing file is an error: use `write-file` to
create one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from imagebuild.customise.linux.text import with_line_at_end
from imagebuild.customise.operation import Params as BaseParams
from imagebuild.customise.operation import Phase
from imagebuild.customise.values import GuestPath

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CUSTOMISE


class Params(BaseParams):
    path: GuestPath = Field(description="the file in the guest")
    text: str = Field(min_length=1, description="the text to append; a line break is added at its end if it has none")


def apply(guest: Guest, params: Params) -> None:
    block = params.text if params.text.endswith("\n") else params.text + "\n"

    def added(text: str) -> str:
        if f"\n{block}" in f"\n{text}":
            return text
        return with_line_at_end(text, block.removesuffix("\n"))

    guest.edit(params.path, added, "added text")
