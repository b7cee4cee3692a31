"""Empty the machine id, and remove it from the names of boot entries.

Leaves ``/etc/machine-id`` as an empty file with mode 0444, so that each clone generates an id of
its own at its first boot. The file is empty rather than missing or ``uninitialized``, because
systemd takes the latter two for a first boot and applies all presets, which would enable again what
other operations have disabled (machine-id(5), "First Boot Semantics"). D-Bus's own copy,
``/var/lib/dbus/machine-id``, becomes a link to it. An audit reports a guest that has an id, but not
one in which the id is missing, empty or ``uninitialized``.

Boot Loader Specification entries, folders of kernels and unified kernel images that are named after
the id are renamed after ``IMAGE_ID`` or ``ID`` from os-release. ``/etc/kernel/entry-token`` passes
that name to kernel-install, as systemd's "Building Images Safely" recommends. On Fedora and RHEL a
plugin in ``/etc/kernel/install.d`` removes GRUB's entries together with their kernels. The kernel
argument ``systemd.machine_id`` with the old id, which would give it to every clone, is removed.
dracut's rescue kernel and image (``vmlinuz-0-rescue-ID``) are removed with their entry if dracut
builds new ones, for the clone's own id, with its next kernel; otherwise they are renamed too.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from imagebuild.customise.linux import boot_entries, units
from imagebuild.customise.operation import NoParams, NotApplicable, Phase

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.SCRUB
CARRIES = "identity"
REPLACES = ("machine-id",)
Params = NoParams

_ID = "/etc/machine-id"
_DBUS_ID = "/var/lib/dbus/machine-id"
_NONE_YET = "uninitialized"
_LONGEST = 4096
"""The size in bytes up to which a file is read for an id; a longer one contains something else."""


def apply(guest: Guest, params: NoParams) -> None:
    if not (guest.exists(_ID) or guest.exists(_DBUS_ID) or units.has_systemd(guest)):
        raise NotApplicable("this guest has no machine id")
    # In a guest without an id they name the machine that built the image, and would do so in all clones.
    with nullcontext() if _has_id(guest, _ID) or _has_id(guest, _DBUS_ID) else guest.tidying():
        boot_entries.rename(guest, boot_entries.ids(guest, _ID, _DBUS_ID))
    with nullcontext() if _has_id(guest, _ID) else guest.tidying():
        guest.create(_ID, "", mode=0o444, what="emptied")
    if guest.exists(_DBUS_ID):
        with nullcontext() if _has_id(guest, _DBUS_ID) else guest.tidying():
            guest.symlink(_ID, _DBUS_ID)


def _has_id(guest: Guest, path: str) -> bool:
    """Whether a file of the guest contains the id of one machine. Links are followed."""
    real = guest.real_file(path)
    if real is None or (real == _ID and path != _ID):
        return False
    return guest.size(real) > _LONGEST or guest.read(real).strip() not in ("", _NONE_YET)
