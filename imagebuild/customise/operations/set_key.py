"""Set a key in a configuration file.

For files of the kinds `key=value`, `key value` and INI with sections. The key is changed where it is, and added to the
section, with the section if need be, where it is not. Comments stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from imagebuild.customise.linux.text import with_key
from imagebuild.customise.operation import Params as BaseParams
from imagebuild.customise.operation import Phase
from imagebuild.customise.values import GuestPath, Line

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CUSTOMISE

Separator = Literal["=", " = ", " ", ": "]


class Params(BaseParams):
    path: GuestPath = Field(description="the file in the guest; it must be there")
    key: Line = Field(pattern=r"^[^\s=:#\[\]]+$", description="the key")
    value: Line = Field(description="its value, quoted as the file needs it")
    section: Line = Field(
        default="", pattern=r"^[^\[\]]*$", description="INI section without brackets; none means before the first"
    )
    separator: Separator = Field(
        default="=", description="what stands between key and value: `=`, ` = `, one space or `: `"
    )


def apply(guest: Guest, params: Params) -> None:
    guest.edit(
        params.path,
        lambda text: with_key(text, params.key, params.value, section=params.section, separator=params.separator),
        f"{params.key}{params.separator}{params.value}",
    )
