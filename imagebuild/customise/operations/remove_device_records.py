"""Remove what the guest remembers of the disks it was built on.

blkid's table; LVM's list of the devices it may use, with its caches and its backups of metadata; the names and identifiers
that multipath has given. A clone whose disks are others would ignore or misname them. All of it is made again. What an initramfs has of
it goes with ``remove-initramfs-identity``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagebuild.customise.operation import NoParams, Phase

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.SCRUB
CARRIES = "identity"
REPLACES = ("blkid-tab", "lvm-system-devices")
Params = NoParams

_RECORDS = (
    "/etc/blkid.tab",
    "/etc/blkid.tab.old",
    "/etc/blkid/blkid.tab",
    "/etc/blkid/blkid.tab.old",
    "/run/blkid/blkid.tab",
    "/run/blkid/blkid.tab.old",
    "/var/run/blkid.tab",
    "/var/run/blkid.tab.old",
    "/dev/.blkid.tab",
    "/dev/.blkid.tab.old",
    "/etc/lvm/devices/system.devices",
    "/etc/lvm/devices/backup/*",
    "/etc/lvm/cache/.cache",
    "/etc/lvm/archive/*",
    "/etc/lvm/backup/*",
    "/etc/multipath/bindings",
    "/etc/multipath/wwids",
    "/etc/multipath/prkeys",
    "/var/lib/multipath/bindings",
    "/var/lib/multipath/wwids",
)


def apply(guest: Guest, params: NoParams) -> None:
    guest.remove(guest.sweep(*_RECORDS))
