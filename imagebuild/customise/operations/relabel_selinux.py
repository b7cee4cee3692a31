"""Let the guest relabel its files at the next boot, if it uses SELinux.

A file that is created offline has no SELinux label, and an enforcing guest may refuse to use it.
Creates ``/.autorelabel``, which makes the guest label all its files and boot once more. Added by itself
whenever other operations have changed a guest in which SELinux is switched on.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from imagebuild.customise.operation import NoParams, NotApplicable, Phase

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.SEAL
Params = NoParams

_CONFIG = "/etc/selinux/config"


def apply(guest: Guest, params: NoParams) -> None:
    if guest.real_file(_CONFIG) is None:
        raise NotApplicable("no SELinux in this guest")
    settings = re.findall(r"^[ \t]*SELINUX[ \t]*=[ \t]*(\w+)", guest.read(_CONFIG), re.MULTILINE)
    if settings[-1:] == ["disabled"]:
        raise NotApplicable("SELinux is switched off")
    guest.create("/.autorelabel", "")
