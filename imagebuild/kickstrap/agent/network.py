"""Configures the installed system's network, for whichever network tool it has.

Interfaces are named, never identified: no MAC address and no connection UUID is written, so
that every clone of the image can use the same files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import ifupdown, networkd, networkmanager
from .errors import InstallError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .interfaces import Interface
    from .target import Target

_DHCP_CLIENTS = ("/usr/sbin/dhcpcd", "/usr/sbin/dhclient", "/usr/sbin/udhcpc", "/sbin/dhclient", "/sbin/udhcpc")


def configure(target: Target, interfaces: Sequence[Interface], trusted: Sequence[str] = ()) -> None:
    """Write the configuration for NetworkManager, ifupdown or systemd-networkd, whichever is found
    first. ``trusted`` are the interfaces in that zone of firewalld.
    """
    if target.has("/usr/sbin/NetworkManager"):
        zoned = trusted if target.has("/usr/sbin/firewalld") else ()
        for name, text in networkmanager.files(interfaces, zoned):
            target.write(f"/etc/NetworkManager/system-connections/{name}", text, mode=0o600)
    elif not interfaces:
        return
    elif target.has("/usr/sbin/ifup", "/sbin/ifup"):
        if any(item.ipv4 and not item.address for item in interfaces) and not target.has(*_DHCP_CLIENTS):
            raise InstallError("network --bootproto=dhcp needs a DHCP client: add dhcpcd-base to %packages")
        target.write("/etc/network/interfaces", ifupdown.interfaces_file(interfaces))
        _resolv_conf(target, interfaces)
    elif target.has("/usr/lib/systemd/systemd-networkd", "/lib/systemd/systemd-networkd"):
        for name, text in networkd.files(interfaces):
            target.write(f"/etc/systemd/network/{name}", text)
        units = ["systemd-networkd"]
        if target.has("/usr/lib/systemd/systemd-resolved", "/lib/systemd/systemd-resolved"):
            units.append("systemd-resolved")
        else:
            _resolv_conf(target, interfaces)
        target.commands.run(["systemctl", "enable", *units])
    else:
        raise InstallError("the target has no tool that configures the network: add ifupdown to %packages")


def _resolv_conf(target: Target, interfaces: Sequence[Interface]) -> None:
    """Write the kickstart's name servers, for systems where nothing else would."""
    servers = dict.fromkeys(server for item in interfaces for server in item.nameservers)
    search = dict.fromkeys(domain for item in interfaces for domain in item.search)
    if (servers or search) and not target.has("/usr/sbin/resolvconf", "/sbin/resolvconf"):
        lines = [f"search {' '.join(search)}"] if search else []
        lines += [f"nameserver {server}" for server in servers]
        target.write("/etc/resolv.conf", "".join(f"{line}\n" for line in lines))
