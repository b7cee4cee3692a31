"""Set a key in a configuration file.

Supports the formats `key=value`, `key value` and INI with sections. An existing key is changed in
place. A missing key is added to the section, which is created if necessary. Comments stay.
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
    path: GuestPath = Field(description="the file in the guest; it must exist")
    key: Line = Field(pattern=r"^[^\s=:#\[\]]+$", description="the key")
    value: Line = Field(description="its value, quoted as the format of the file requires")
    section: Line = Field(
        default="",
        pattern=r"^[^\[\]]*$",
        description="INI section without brackets; empty means before the first section",
    )
    separator: Separator = Field(
        default="=", description="separator between key and value: `=`, ` = `, one space or `: `"
    )


def apply(guest: Guest, params: Params) -> None:
    guest.edit(
        params.path,
        lambda text: with_key(text, params.key, params.value, section=params.section, separator=params.separator),
        f"{params.key}{params.separator}{params.value}",
    )
