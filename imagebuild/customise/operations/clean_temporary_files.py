"""Remove temporary files.

Everything in ``/tmp`` and ``/var/tmp``, the caches in the home folders of all accounts, and the thumbnails and trash of desktops.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagebuild.customise.operation import NoParams, Phase

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.SCRUB
CARRIES = "trace"
REPLACES = ("tmp-files",)
Params = NoParams

_FOLDERS = ("/tmp", "/var/tmp")  # noqa: S108 - of the guest
_IN_HOMES = (".cache", ".thumbnails", ".local/share/Trash")


def apply(guest: Guest, params: NoParams) -> None:
    inner = [f"{home.path}/{name}" for home in guest.homes() for name in _IN_HOMES]
    for folder in (*_FOLDERS, *inner):
        guest.clear(folder)
