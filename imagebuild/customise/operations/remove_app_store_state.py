"""Make snapd register each clone separately, and remove Flatpak's caches.

snapd registers each machine with a key and a serial of its own. Both are removed, also from
``state.json``, in the same way as snapd unregisters a device: if the state has no serial, snapd
creates a key and registers at its next start; with a serial it never would. Logins to the store,
the key that signs them, cookies and the salt of refresh requests are removed too, and are created
again. Flatpak's temporary folders and downloads are removed. Installed snaps and Flatpaks stay.
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
"""The keys that ``DeviceManager.Unregister`` empties (snapd, overlord/devicestate/devicemgr.go).
``ensureOperational`` starts with an empty serial."""
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
    # The state comes first: with a serial in the state but no key, snapd would be stuck.
    if path := guest.real_file(_STATE):
        content = guest.read_bytes(path, _LARGEST)
        new = _unregistered(content)
        if new != content:
            guest.replace(path, new, "removed the device and the logins")
    guest.remove(guest.sweep(*_FILES))


def _unregistered(content: bytes) -> bytes:
    """snapd's state without the data of this machine; the same bytes if there is none."""
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
            f"{_STATE} is not in the format that snapd writes", "let snapd start in the guest, or remove the file"
        ) from error
    return (
        json.dumps(state, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
        if gone
        else content
    )
