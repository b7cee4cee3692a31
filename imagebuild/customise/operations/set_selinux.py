"""Set SELinux's mode: disabled, permissive or enforcing.

Sets ``SELINUX`` in ``/etc/selinux/config``. Disabled also adds ``selinux=0`` to the kernel command
line; the other two remove ``selinux`` and ``enforcing`` from it. A guest whose SELinux stays on is
relabelled at its next boot. If SELinux is not installed, disabled is not applicable, and the other
two are errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from imagebuild.customise.linux import selinux_mode
from imagebuild.customise.operation import Params as BaseParams
from imagebuild.customise.operation import Phase

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CONFIGURE


class Params(BaseParams):
    mode: selinux_mode.Mode = Field(description="the mode")


def apply(guest: Guest, params: Params) -> None:
    selinux_mode.set_mode(guest, params.mode)
