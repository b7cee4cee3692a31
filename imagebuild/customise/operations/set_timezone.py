"""Set the time zone.

``/etc/localtime`` becomes a link to the zone's file. ``/etc/timezone`` (Debian, Alpine) and
``ZONE`` in ``/etc/sysconfig/clock`` (RHEL 6, SUSE) are set to its name if they exist. A zone that
the guest does not know is an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from imagebuild.customise.linux.text import with_key
from imagebuild.customise.operation import Params as BaseParams
from imagebuild.customise.operation import Phase
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CUSTOMISE


class Params(BaseParams):
    timezone: str = Field(
        pattern=r"^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$", description="a name such as Europe/Berlin or UTC"
    )


_ZONES = "/usr/share/zoneinfo"


def apply(guest: Guest, params: Params) -> None:
    if guest.real_file(f"{_ZONES}/{params.timezone}") is None:
        raise GuestError(
            f"the guest does not know the time zone {params.timezone}", "time zones are in the package tzdata"
        )
    if guest.real_file("/etc/timezone"):
        guest.create("/etc/timezone", params.timezone + "\n")
    if guest.real_file("/etc/sysconfig/clock"):
        zone = f'"{params.timezone}"'
        guest.edit("/etc/sysconfig/clock", lambda text: with_key(text, "ZONE", zone), f"ZONE={zone}")
    guest.symlink(f"{_ZONES}/{params.timezone}", "/etc/localtime")
