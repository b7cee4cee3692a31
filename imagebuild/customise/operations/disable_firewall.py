"""Switch the firewall off.

Disables firewalld, the iptables, ip6tables and nftables services, netfilter-persistent and ufw, as
``systemctl disable`` and ``update-rc.d disable`` do, and sets ``ENABLED=no`` for ufw. The packages and
their rules stay, and nothing is masked: a firewall can be enabled again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from imagebuild.customise import units
from imagebuild.customise.operation import NoParams, NotApplicable, Phase

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CONFIGURE
Params = NoParams

_SERVICES = ("firewalld", "iptables", "ip6tables", "nftables", "netfilter-persistent", "ufw")
_UFW = "/etc/ufw/ufw.conf"
_ENABLED = re.compile(r"^[ \t]*ENABLED[ \t]*=.*$", re.MULTILINE)


def apply(guest: Guest, params: NoParams) -> None:
    found = [name for name in _SERVICES if units.installed(guest, f"{name}.service")]
    scripts = [name for name in _SERVICES if guest.exists(f"/etc/init.d/{name}")]
    ufw = guest.real_file(_UFW)
    if not found and not scripts and ufw is None:
        raise NotApplicable("no firewall in this guest")
    for name in found:
        units.disable(guest, f"{name}.service")
    for name in scripts:
        units.disable_init_script(guest, name)
    if ufw is not None:
        guest.edit(ufw, _not_enabled, "ENABLED=no")


def _not_enabled(text: str) -> str:
    if _ENABLED.search(text):
        return _ENABLED.sub("ENABLED=no", text)
    return text + ("" if text.endswith("\n") or not text else "\n") + "ENABLED=no\n"
