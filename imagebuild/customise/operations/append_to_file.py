"""Add text to the end of a file, once.

A file that holds the text already is left alone. A file that is not there is an error: `write-file` makes new ones.
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
    text: str = Field(min_length=1, description="what is added; it gets a line break at its end")


def apply(guest: Guest, params: Params) -> None:
    block = params.text if params.text.endswith("\n") else params.text + "\n"

    def added(text: str) -> str:
        if f"\n{block}" in f"\n{text}":
            return text
        return with_line_at_end(text, block.removesuffix("\n"))

    guest.edit(params.path, added, "added text")
