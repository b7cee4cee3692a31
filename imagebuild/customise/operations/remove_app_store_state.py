"""Have snapd register each clone by itself, and remove Flatpak's caches.

snapd registers each machine with a key and a serial of its own. Both go, and ``state.json`` forgets them the way snapd does when it unregisters a device:
without a serial there, it makes a key and registers when it next starts; with one it would never. Log-ins to the store, the key that signs them, cookies
and the salt of refresh requests go too, and are made again. Flatpak's temporary folders and downloads are removed. Installed snaps and Flatpaks stay.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from imagebuild.customise.operation import NoParams, Phase
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.SCRUB
CARRIES = "secret"
REPLACES = ()
Params = NoParams

_STATE = "/var/lib/snapd/state.json"
_LARGEST = 64 << 20
_OF_DEVICE = ("serial", "key-id", "session-macaroon")
"""What ``DeviceManager.Unregister`` empties (snapd, overlord/devicestate/devicemgr.go); ``ensureOperational`` starts with an empty serial."""
_OF_AUTH = ("users", "macaroon-key")
_OF_DATA = ("snap-cookies", "refresh-privacy-key")
_FILES = (
    "/var/lib/snapd/device/private-keys-v1/*",
    "/var/lib/snapd/device/session",
    "/var/lib/snapd/assertions/asserts-v0/serial/*",
    "/var/lib/snapd/cookie/*",
    "/var/lib/snapd/cache/*",
    "/var/lib/snapd/errtracker.db",
    "/var/lib/flatpak/repo/tmp/*",
)


def apply(guest: Guest, params: NoParams) -> None:
    # First: with the key gone and a serial in the state, snapd would be stuck.
    if path := guest.real_file(_STATE):
        content = guest.read_bytes(path, _LARGEST)
        new = _unregistered(content)
        if new != content:
            guest.replace(path, new, "no device, no log-ins")
    guest.remove(guest.sweep(*_FILES))


def _unregistered(content: bytes) -> bytes:
    """snapd's state without what it has of this machine; the same bytes if that is nothing."""
    try:
        state: Any = json.loads(content or b"{}")
        data = state.get("data") or {}
        auth = data.get("auth") or {}
        device = auth.get("device") or {}
        gone = [
            table.pop(key)
            for table, keys in ((device, _OF_DEVICE), (auth, _OF_AUTH), (data, _OF_DATA))
            for key in keys
            if table.get(key)
        ]
    except (ValueError, AttributeError, RecursionError) as error:
        raise GuestError(
            f"{_STATE} is not what snapd writes", "let snapd start in the guest, or remove the file"
        ) from error
    return (
        json.dumps(state, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
        if gone
        else content
    )
