"""Make the SSH server refuse passwords.

Logins over SSH then need a key, for root and for all other accounts; passwords still work on the
console. A server that reads ``/etc/ssh/sshd_config.d`` first gets a file there that comes before
all others, because the first value of a setting counts (sshd_config(5)). Older ones get the
settings at the top of ``/etc/ssh/sshd_config``. A `Match` block of the guest may still allow
passwords for some logins.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from imagebuild.customise.operation import NoParams, NotApplicable, Phase

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CONFIGURE
Params = NoParams

_MAIN = "/etc/ssh/sshd_config"
_FIRST = "/etc/ssh/sshd_config.d/00-imagebuild.conf"
_INCLUDE = re.compile(r"[ \t]*include[ \t=]+\"?/etc/ssh/sshd_config\.d/\*(?:\.conf)?\"?[ \t]*", re.IGNORECASE)
_SETTINGS = ("PasswordAuthentication no", "KbdInteractiveAuthentication no", "PermitRootLogin prohibit-password")


def apply(guest: Guest, _params: NoParams) -> None:
    if not guest.is_file(_MAIN):
        raise NotApplicable("no SSH server in this guest")
    settings = "".join(f"{line}\n" for line in _SETTINGS)
    first = next((line for line in guest.read(_MAIN).splitlines() if line.strip() and line.strip()[0] != "#"), "")
    if _INCLUDE.fullmatch(first):
        guest.create(_FIRST, settings)
    else:
        guest.edit(_MAIN, lambda text: text if text.startswith(settings) else settings + text, "refuses passwords")
