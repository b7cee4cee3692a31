"""Remove the device identity that snap keeps, and Flatpak's caches.

snapd registers each machine with a key and a serial of its own (``/var/lib/snapd/device``), and keeps cookies and caches; it makes a
new key when it starts without one. Flatpak's temporary folders and downloads go too. Installed snaps and Flatpaks stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagebuild.customise.operation import NoParams, Phase

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.SCRUB
CARRIES = "secret"
REPLACES = ()
Params = NoParams

_STATE = (
    "/var/lib/snapd/device/private-keys-v1/*",
    "/var/lib/snapd/device/session",
    "/var/lib/snapd/cookie/*",
    "/var/lib/snapd/cache/*",
    "/var/lib/snapd/errtracker.db",
    "/var/lib/flatpak/repo/tmp/*",
)


def apply(guest: Guest, params: NoParams) -> None:
    guest.remove(guest.sweep(*_STATE))
