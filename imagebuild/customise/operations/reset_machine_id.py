"""Empty the machine id, and take it out of the names of boot entries.

Leaves ``/etc/machine-id`` as an empty file that only root may not write by accident (mode 0444), so
that each clone gets an id of its own when it first boots. Empty, not missing and not
``uninitialized``: systemd takes the latter two for a first boot and applies all presets, which
would enable again what other operations have disabled (machine-id(5), "First Boot Semantics").
D-Bus's own copy, ``/var/lib/dbus/machine-id``, becomes a link to it. An audit reports a guest that has an id, and none
in which it is missing, empty or ``uninitialized``.

Boot Loader Specification entries, folders of kernels and unified kernel images that are named after the id are named after ``IMAGE_ID`` or ``ID`` of
os-release instead. kernel-install learns it from ``/etc/kernel/entry-token``, as systemd's "Building Images Safely" asks for; GRUB's entries on Fedora and
RHEL go with their kernels by a plugin in ``/etc/kernel/install.d``. The kernel argument ``systemd.machine_id`` with the old id, which would give it to every
clone, is taken out. dracut's rescue kernel and image (``vmlinuz-0-rescue-ID``) are removed with their entry where dracut builds new ones, for
the clone's own id, with its next kernel; else they are renamed, too.
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
"""Bytes of a file that is read for an id; a longer one holds something else."""


def apply(guest: Guest, params: NoParams) -> None:
    if not (guest.exists(_ID) or guest.exists(_DBUS_ID) or units.has_systemd(guest)):
        raise NotApplicable("no machine id in this guest")
    # Of a guest without an id they name the machine that built the image, for all its users.
    with nullcontext() if _has_id(guest, _ID) or _has_id(guest, _DBUS_ID) else guest.tidying():
        boot_entries.rename(guest, boot_entries.ids(guest, _ID, _DBUS_ID))
    with nullcontext() if _has_id(guest, _ID) else guest.tidying():
        guest.create(_ID, "", mode=0o444, what="emptied")
    if guest.exists(_DBUS_ID):
        with nullcontext() if _has_id(guest, _DBUS_ID) else guest.tidying():
            guest.symlink(_ID, _DBUS_ID)


def _has_id(guest: Guest, path: str) -> bool:
    """Whether a file of the guest holds an id of one machine; a link is as good as what it leads to."""
    real = guest.real_file(path)
    if real is None or (real == _ID and path != _ID):
        return False
    return guest.size(real) > _LONGEST or guest.read(real).strip() not in ("", _NONE_YET)
