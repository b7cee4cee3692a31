"""Remove the records of the hardware that the guest was built on.

Removes blkid's cache; LVM's list of the devices it may use, with its caches and metadata backups;
the names and identifiers assigned by multipath; and the labels found by os-prober. A clone with
different disks would ignore or misname them.

Removes also what daemons have recorded about the devices of one machine: paired Bluetooth and
Thunderbolt devices; the state of sound cards, batteries, backlights and radios; the records of
smartd and rasdaemon; the drift of the clock, which NTP daemons measure again; and how long booting
takes. All of these are created again. Copies of these files in an initramfs are handled by
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
"""From the manual pages of blkid, lvm, multipath, alsactl, bluetoothd, boltd, smartd, rasdaemon,
ntpd and chronyd, of systemd-backlight, systemd-rfkill and systemd-tpm2-setup, and from the
packages' lists of files."""


def apply(guest: Guest, params: NoParams) -> None:
    guest.remove(guest.sweep(*_RECORDS))
