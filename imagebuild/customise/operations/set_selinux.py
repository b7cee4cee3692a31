"""Set SELinux's mode: disabled, permissive or enforcing.

Writes ``SELINUX`` into ``/etc/selinux/config``. Disabled also puts ``selinux=0`` onto the kernel command line; the other two take
``selinux`` and ``enforcing`` off it. A guest whose SELinux stays on is relabelled at its next boot. Where SELinux is not installed,
disabled is not applicable, and the other two are errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from imagebuild.customise import kernel_cmdline
from imagebuild.customise.operation import NotApplicable, Phase
from imagebuild.customise.operation import Params as BaseParams
from imagebuild.customise.text import with_key
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CONFIGURE

Mode = Literal["disabled", "permissive", "enforcing"]


class Params(BaseParams):
    mode: Mode = Field(description="the mode")


_CONFIG = "/etc/selinux/config"


def apply(guest: Guest, params: Params) -> None:
    if guest.real_file(_CONFIG) is None:
        if params.mode != "disabled":
            raise GuestError(
                f"there is no SELinux in this guest that could be {params.mode}",
                "let the installation bring SELinux's packages and its policy",
            )
        raise NotApplicable("no SELinux in this guest")
    guest.edit(_CONFIG, lambda text: with_key(text, "SELINUX", params.mode), f"SELINUX={params.mode}")
    if params.mode == "disabled":
        kernel_cmdline.set_argument(guest, "selinux", "0")
        return
    for name in ("selinux", "enforcing"):
        kernel_cmdline.remove_argument(guest, name)
