"""Remove what the guest remembers of the hardware it was built on.

blkid's table; LVM's list of the devices it may use, with its caches and its backups of metadata; the names and identifiers
that multipath has given; labels that os-prober found. A clone whose disks are others would ignore or misname them. Then what daemons keep of one machine's devices: paired
Bluetooth and Thunderbolt devices, levels of sound cards, batteries, back lights and radios; what smartd and rasdaemon have seen; how far its clock
runs wrong, which NTP daemons measure again; how long it takes to boot. All of it is made again. What an initramfs has of it goes with
``remove-initramfs-identity``.
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
    "/var/lib/os-prober/labels",
    "/var/lib/mdadm/CONF-UNCHECKED",
    "/var/lib/btrfs/scrub.status.*",
    "/var/lib/btrfs/scrub.progress.*",
    "/var/lib/udisks2/mounted-fs*",
    "/var/lib/alsa/asound.state",
    "/var/lib/bluetooth/*",
    "/var/lib/boltd/devices/*",
    "/var/lib/colord/mapping.db",
    "/var/lib/colord/storage.db",
    "/var/lib/upower/history-*",
    "/var/lib/systemd/backlight/*",
    "/var/lib/systemd/rfkill/*",
    "/var/lib/systemd/tpm2-srk-public-key.*",
    "/var/lib/smartmontools/smartd.*.state*",
    "/var/lib/smartmontools/attrlog.*.csv",
    "/var/lib/rasdaemon/ras-mc_event.db",
    "/var/lib/ntp/ntp.drift",
    "/var/lib/ntp/drift",
    "/var/lib/ntpsec/ntp.drift",
    "/var/lib/chrony/drift",
    "/var/lib/chrony/chrony.drift",
    "/var/lib/chrony/rtc",
    "/var/lib/chrony/dumps/*",
    "/var/lib/chrony/*.dat",
    "/var/lib/plymouth/boot-duration",
    "/var/lib/preload/preload.state",
    "/var/lib/ureadahead/*pack",
)
"""Named by the manual pages of blkid, lvm, multipath, alsactl, bluetoothd, boltd, smartd, rasdaemon, ntpd and chronyd, of systemd-backlight,
systemd-rfkill and systemd-tpm2-setup, and by the packages' lists of files."""


def apply(guest: Guest, params: NoParams) -> None:
    guest.remove(guest.sweep(*_RECORDS))
