"""Remove the memory dumps of crashed programs and kernels.

A dump contains everything that the program had in memory, including keys and passwords. Covers
kdump, ABRT, apport and systemd-coredump, and core files in the root folder and in home folders. The
dump folders themselves stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagebuild.customise.operation import NoParams, Phase
from imagebuild.guest import literal

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.SCRUB
CARRIES = "secret"
REPLACES = ("abrt-data", "crash-data")
Params = NoParams

_DUMPS = (
    "/var/crash/*",
    "/var/spool/abrt/*",
    "/var/spool/abrt-upload/*",
    "/var/cache/abrt-di/*",
    "/var/log/dump/*",
    "/var/lib/systemd/coredump/*",
    "/var/lib/systemd/pstore/*",
    "/var/lib/apport/coredump/*",
)


def apply(guest: Guest, params: NoParams) -> None:
    guest.remove(guest.sweep(*_DUMPS))
    guest.remove_files(
        "/core", *(f"{literal(folder)}/core.[0-9]*" for folder in ("", *(home.path for home in guest.homes())))
    )
