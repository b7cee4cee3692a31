"""Label the guest's files for SELinux, if the guest uses it.

A file that is created offline has no label, and an enforcing guest may refuse to use it. The
guest's own ``setfiles`` labels everything offline according to the guest's own policy. Correct
labels stay, and so do the types that an administrator may choose (customizable types). This
operation is added automatically whenever other operations have changed a guest in which SELinux is
enabled.

Where files cannot be labelled offline (no ``setfiles``, one that is too old for its option ``-m``
as in RHEL 7, a policy that it cannot read, a different processor architecture), ``/.autorelabel``
makes the guest relabel at its next boot and then reboot; the record gives the reason.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from imagebuild.customise.operation import NoParams, NotApplicable, Phase
from imagebuild.errors import GuestError
from imagebuild.guest import fstab

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.SEAL
Params = NoParams

_CONFIG = "/etc/selinux/config"
_SETFILES = ("/usr/sbin/setfiles", "/sbin/setfiles")
_WITHOUT_LABELS = frozenset({"vfat", "msdos"})
_PLACE = "/.imagebuild-selinux"
_SCRIPT = r"""
log=$1; shift
status=0; "$@" >"$log" 2>&1 || status=$?
if [ $status -ne 0 ]; then tail -n 2 "$log" >&2; exit $status; fi
grep -c -E '^Relabeled |^[^ ]*setfiles reset ' "$log" || true
"""
"""A guest has more files than one reply of libguestfs could list."""


def apply(guest: Guest, params: NoParams) -> None:
    if guest.real_file(_CONFIG) is None:
        raise NotApplicable("this guest does not have SELinux")
    config = guest.read(_CONFIG)
    if _setting(config, "SELINUX", "") == "disabled":
        raise NotApplicable("SELinux is disabled")
    try:
        labelled = _label(guest, _setting(config, "SELINUXTYPE", "targeted"))
    except GuestError as error:
        guest.create(
            "/.autorelabel", "", what=f"created because the files could not be labelled offline: {error.message}"
        )
        return
    if labelled:
        guest.record("/", f"labelled {labelled} files")


def _label(guest: Guest, policy: str) -> int:
    """Label all files offline and return how many labels were wrong; GuestError if that is not
    possible."""
    program = next((path for path in _SETFILES if guest.real_file(path)), None)
    if program is None:
        raise GuestError("the guest has no setfiles")
    contexts = f"/etc/selinux/{policy}/contexts/files/file_contexts"
    if guest.real_file(contexts) is None:
        raise GuestError(f"the guest has no {contexts}")
    text = guest.read("/etc/fstab") if guest.real_file("/etc/fstab") else ""
    unlabelled = {entry.mountpoint for entry in fstab.parse(text) if entry.fstype in _WITHOUT_LABELS}
    # setfiles stays on the file system of each path. Without -m it skips everything that the kernel mounted
    # without SELinux, which in the appliance is everything.
    paths = [path for path in guest.mountpoints() if path not in unlabelled]
    with guest.scratch(_PLACE):
        said = guest.run(
            ["/bin/sh", "-c", _SCRIPT, "sh", f"{_PLACE}/log", program, "-m", "-v", "-e", _PLACE, contexts, *paths],
            {"LC_ALL": "C"},
        )
    return int(said)


def _setting(config: str, key: str, default: str) -> str:
    """The last value of a key, as libselinux reads it."""
    found = re.findall(rf"^[ \t]*{key}[ \t]*=[ \t]*([\w-]+)", config, re.MULTILINE)
    return str(found[-1]) if found else default
