"""Append text to a file, once.

A file that already contains the text is left alone. A missing file is an error: use `write-file` to
create one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from imagebuild.customise import content
from imagebuild.customise.content import ContentParams
from imagebuild.customise.host_inputs import HostPath
from imagebuild.customise.linux.text import with_line_at_end
from imagebuild.customise.operation import Phase
from imagebuild.customise.values import GuestPath

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CUSTOMISE


class Params(ContentParams):
    path: GuestPath = Field(description="the file in the guest")
    text: str | None = Field(
        default=None,
        min_length=1,
        description="the text to append; a line break is added at its end if it has none",
    )
    file: HostPath | None = Field(default=None, description=content.FILE)


def apply(guest: Guest, params: Params) -> None:
    wanted = content.text(guest, params)
    block = wanted if wanted.endswith("\n") else wanted + "\n"

    def added(text: str) -> str:
        if f"\n{block}" in f"\n{text}":
            return text
        return with_line_at_end(text, block.removesuffix("\n"))

    guest.edit(params.path, added, "added text")
