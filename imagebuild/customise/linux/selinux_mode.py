"""SELinux's mode, in its configuration and on the kernel command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from imagebuild.customise.linux import kernel_cmdline
from imagebuild.customise.linux.text import with_key
from imagebuild.customise.operation import NotApplicable
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

Mode = Literal["disabled", "permissive", "enforcing"]

_CONFIG = "/etc/selinux/config"


def set_mode(guest: Guest, mode: Mode) -> None:
    """Set the mode in the configuration and on the kernel command line. NotApplicable or GuestError
    if there is no SELinux."""
    if guest.real_file(_CONFIG) is None:
        if mode != "disabled":
            raise GuestError(
                f"SELinux cannot be set to {mode}: this guest does not have it",
                "install SELinux's packages and its policy during the installation",
            )
        raise NotApplicable("this guest does not have SELinux")
    guest.edit(_CONFIG, lambda text: with_key(text, "SELINUX", mode), f"SELINUX={mode}")
    if mode == "disabled":
        kernel_cmdline.set_argument(guest, "selinux", "0")
        return
    for name in ("selinux", "enforcing"):
        kernel_cmdline.remove_argument(guest, name)
