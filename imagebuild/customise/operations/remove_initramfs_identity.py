"""Remove the identity of the build machine from initramfs images.

dracut and initramfs-tools copy files from ``/etc`` into the images that they build, where the other
operations do not see them. The machine id in an image is replaced by an empty file, as in generic
images. The hostname, multipath's bindings and WWIDs, LVM's list of devices, the names of iSCSI and
NVMe initiators (unless the root file system is on iSCSI) and the udev rules for network cards are
removed.

Images are inspected only if dracut, or an initramfs-tools hook that copies such files, is
installed. Unified kernel images are left unchanged, and so are the host keys of an SSH server in
the initramfs: without them nobody could unlock the disk of a clone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagebuild.customise.linux import initramfs
from imagebuild.customise.operation import NoParams, NotApplicable, Phase
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.SCRUB
CARRIES = "identity"
REPLACES = ()
Params = NoParams

_COPY = (
    "/usr/lib/dracut/modules.d",
    "/usr/share/dracut/modules.d",
    "/usr/share/initramfs-tools/hooks/multipath",
    "/usr/share/initramfs-tools/hooks/iscsi",
)
"""The programs that copy files from /etc: dracut's modules (systemd, multipath, iscsi, nvmf), and
the hooks of Debian's multipath-tools-boot and open-iscsi."""
_EMPTIED = frozenset({"etc/machine-id"})
"""dracut's module ``systemd`` puts an empty file into generic images."""
_REMOVED = frozenset(
    {
        "etc/hostname",
        "etc/multipath/bindings",
        "etc/multipath/wwids",
        "etc/multipath/prkeys",
        "etc/lvm/devices/system.devices",
        "etc/nvme/hostid",
        "etc/nvme/hostnqn",
        "etc/udev/rules.d/70-persistent-net.rules",
        "etc/udev/rules.d/70-persistent-ipoib.rules",
    }
)
_INITIATOR = frozenset({"etc/iscsi/initiatorname.iscsi", "etc/initiatorname.iscsi"})
_ISCSI_ROOT = "/etc/iscsi/iscsi.initramfs"
"""If this is present, Debian's initramfs logs in to the target of the root file system, and stops
without a name (open-iscsi's README.Debian)."""
_IMAGES = ("initr*", "*/*/initr*", "EFI/*/initr*")
_LARGEST = 256 << 20


def apply(guest: Guest, params: NoParams) -> None:
    if not any(guest.exists(path) for path in _COPY):
        raise NotApplicable("this guest does not copy such files into its initramfs images")
    with guest.boot_partitions() as partitions:
        folders = dict.fromkeys(
            guest.realpath(one) for one in ("/boot", "/efi", *partitions) if guest.leads_to_folder(one)
        )
        seen: set[str] = set()
        for path in guest.real_files(*(f"{folder}/{pattern}" for folder in folders for pattern in _IMAGES)):
            real = guest.realpath(path)
            if real not in seen:
                seen.add(real)
                _clean(guest, real, _REMOVED if guest.exists(_ISCSI_ROOT) else _REMOVED | _INITIATOR)


def _clean(guest: Guest, path: str, removed: frozenset[str]) -> None:
    content = guest.read_bytes(path, _LARGEST)
    try:
        new = initramfs.without(content, removed, _EMPTIED)
    except GuestError as error:
        raise GuestError(f"{path}: {error.message}", error.hint) from error
    if new is not content:
        guest.replace(path, new, "removed the identity of one machine")
