"""Switch SELinux off.

Writes ``SELINUX=disabled`` into ``/etc/selinux/config`` and ``selinux=0`` onto the kernel command line:
from RHEL 9 on, the file alone leaves the kernel's part of SELinux active, with no policy loaded.
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
