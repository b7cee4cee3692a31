"""Switch the firewall off.

Disables firewalld, the iptables, ip6tables and nftables services, netfilter-persistent, ufw and
SuSEfirewall2, in the same way as ``systemctl disable``, ``update-rc.d disable`` and ``rc-update
del``, and sets ``ENABLED=no`` for ufw. The packages stay, and nothing is masked, so a firewall can
be enabled again.

Saved rules stay unless ``rules: remove`` is given. This removes the zones and policies of firewalld
and the rules saved by iptables and netfilter-persistent. ufw gets the rules of its package back.
RHEL's iptables services do not start without a rules file, so they get rules that accept
everything. ``/etc/nftables.conf`` is configuration and stays.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from imagebuild.customise.linux import init_scripts, units
from imagebuild.customise.linux.text import with_line_at_end
from imagebuild.customise.operation import NotApplicable, Phase
from imagebuild.customise.operation import Params as BaseParams

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CONFIGURE
REPLACES = ("firewall-rules",)


class Params(BaseParams):
    rules: Literal["keep", "remove"] = Field(
        default="keep", description="what happens to saved rules: `keep` or `remove`"
    )


_SERVICES = (
    "firewalld",
    "iptables",
    "ip6tables",
    "nftables",
    "netfilter-persistent",
    "ufw",
    "SuSEfirewall2",
    "SuSEfirewall2_init",
)
_RULES = (
    "/etc/firewalld/direct.xml",
    "/etc/firewalld/zones/*",
    "/etc/firewalld/policies/*",
    "/etc/firewalld/services/*",
    "/etc/firewalld/ipsets/*",
    "/etc/sysconfig/*tables.save",
    "/etc/sysconfig/*tables.old",
    "/etc/iptables/rules.v4",
    "/etc/iptables/rules.v6",
    "/etc/iptables/rules-save",
    "/etc/iptables/rules6-save",
    "/etc/nftables.d/*",
    "/var/lib/iptables/rules-save",
    "/var/lib/ip6tables/rules-save",
)
_OPENRC = ("iptables", "ip6tables", "nftables", "ufw", "awall")
_NEEDED = ("/etc/sysconfig/iptables", "/etc/sysconfig/ip6tables")
"""Files without which a service does not start: they are replaced by rules that accept everything."""
_ACCEPT = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"
_UFW = "/etc/ufw/ufw.conf"
_ENABLED = re.compile(r"^[ \t]*ENABLED[ \t]*=.*$", re.MULTILINE)


def apply(guest: Guest, params: Params) -> None:
    found = [name for name in _SERVICES if units.installed(guest, f"{name}.service")]
    scripts = [name for name in _SERVICES if guest.exists(f"/etc/init.d/{name}")]
    ufw = guest.real_file(_UFW)
    openrc = guest.glob(*(f"/etc/runlevels/*/{name}" for name in _OPENRC))
    if not found and not scripts and ufw is None and not openrc:
        raise NotApplicable("this guest has no firewall")
    for name in found:
        units.disable(guest, f"{name}.service")
    for name in scripts:
        init_scripts.disable(guest, name)
    guest.remove(openrc, "disabled")
    if params.rules == "remove":
        _forget_rules(guest)
    if ufw is not None:
        guest.edit(ufw, _not_enabled, "ENABLED=no")


def _forget_rules(guest: Guest) -> None:
    guest.remove(guest.sweep(*_RULES), "removed rules")
    for path in guest.real_files(*_NEEDED):
        guest.edit(path, lambda _: _ACCEPT, "rules that accept everything")
    for path in guest.real_files("/etc/ufw/user.rules", "/etc/ufw/user6.rules"):
        shipped = f"/usr/share/ufw/iptables/{posixpath.basename(path)}"
        if guest.real_file(shipped):
            guest.edit(path, lambda _: guest.read(shipped), "the rules of its package")  # noqa: B023 - called at once


def _not_enabled(text: str) -> str:
    if _ENABLED.search(text):
        return _ENABLED.sub("ENABLED=no", text)
    return with_line_at_end(text, "ENABLED=no")
