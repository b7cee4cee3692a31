"""Switch SELinux off.

Writes ``SELINUX=disabled`` to ``/etc/selinux/config`` and adds ``selinux=0`` to the kernel command
line. From RHEL 9 on, the file alone leaves SELinux active in the kernel, with no policy loaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagebuild.customise.linux import selinux_mode
from imagebuild.customise.operation import NoParams, Phase

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CONFIGURE
Params = NoParams


def apply(guest: Guest, params: NoParams) -> None:
    selinux_mode.set_mode(guest, "disabled")
