"""Switch SELinux off.

Writes ``SELINUX=disabled`` into ``/etc/selinux/config`` and ``selinux=0`` onto the kernel command line:
from RHEL 9 on, the file alone leaves the kernel's part of SELinux active, with no policy loaded.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from imagebuild.customise import kernel_cmdline
from imagebuild.customise.operation import NoParams, NotApplicable, Phase

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CONFIGURE
Params = NoParams

_CONFIG = "/etc/selinux/config"
_SETTING = re.compile(r"^[ \t]*SELINUX[ \t]*=.*$", re.MULTILINE)


def apply(guest: Guest, params: NoParams) -> None:
    if guest.real_file(_CONFIG) is None:
        raise NotApplicable("no SELinux in this guest")
    guest.edit(_CONFIG, _disabled, "SELINUX=disabled")
    kernel_cmdline.set_argument(guest, "selinux", "0")


def _disabled(text: str) -> str:
    if _SETTING.search(text):
        return _SETTING.sub("SELINUX=disabled", text)
    return text + ("" if text.endswith("\n") or not text else "\n") + "SELINUX=disabled\n"
