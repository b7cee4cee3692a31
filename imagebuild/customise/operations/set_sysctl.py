"""Set kernel parameters.

The settings are written to a file in ``/etc/sysctl.d``. The files are read in the order of their
numbers, so that these settings override those of packages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from imagebuild.customise.operation import Params as BaseParams
from imagebuild.customise.operation import Phase
from imagebuild.customise.values import Line

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CUSTOMISE

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+([./][A-Za-z0-9_*-]+)+$")]


class Params(BaseParams):
    settings: dict[Name, int | Line] = Field(
        min_length=1, description="parameters such as vm.swappiness, with their values"
    )
    name: str = Field(
        default="90-image", pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", description="name of the file, without .conf"
    )


def apply(guest: Guest, params: Params) -> None:
    lines = [f"{name} = {value}\n" for name, value in params.settings.items()]
    guest.create(f"/etc/sysctl.d/{params.name}.conf", "".join(lines))
