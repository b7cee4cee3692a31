"""Switch SELinux off.

Writes ``SELINUX=disabled`` into ``/etc/selinux/config`` and ``selinux=0`` onto the kernel command line:
from RHEL 9 on, the file alone leaves the kernel's part of SELinux active, with no policy loaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagebuild.customise.operation import NoParams, Phase
from imagebuild.customise.operations import set_selinux

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CONFIGURE
Params = NoParams


def apply(guest: Guest, params: NoParams) -> None:
    set_selinux.apply(guest, set_selinux.Params(mode="disabled"))
