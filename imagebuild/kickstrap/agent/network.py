"""Configures the installed system's network, for whichever network tool it has.

Interfaces are named, never identified: no MAC address and no connection UUID is written, so
that every clone of the image can use the same files.
"""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import TYPE_CHECKING

from .errors import InstallError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .plan import Interface
    from .target import Target

_DHCP_CLIENTS = ("/usr/sbin/dhcpcd", "/usr/sbin/dhclient", "/usr/sbin/udhcpc", "/sbin/dhclient", "/sbin/udhcpc")


def configure(target: Target, interfaces: Sequence[Interface]) -> None:
    """Write the configuration for NetworkManager, ifupdown or systemd-networkd, whichever is found
    first.
    """
    if not interfaces:
        return
    if target.has("/usr/sbin/NetworkManager"):
        for interface in interfaces:
            name = f"/etc/NetworkManager/system-connections/{interface.device}.nmconnection"
            target.write(name, keyfile(interface), mode=0o600)
    elif target.has("/usr/sbin/ifup", "/sbin/ifup"):
        if any(not item.address for item in interfaces) and not target.has(*_DHCP_CLIENTS):
            raise InstallError("network --bootproto=dhcp needs a DHCP client: add dhcpcd-base to %packages")
        target.write("/etc/network/interfaces", ifupdown(interfaces))
        _resolv_conf(target, interfaces)
    elif target.has("/usr/lib/systemd/systemd-networkd", "/lib/systemd/systemd-networkd"):
        for interface in interfaces:
            target.write(f"/etc/systemd/network/10-{interface.device}.network", networkd(interface))
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
    if servers and not target.has("/usr/sbin/resolvconf", "/sbin/resolvconf"):
        target.write("/etc/resolv.conf", "".join(f"nameserver {server}\n" for server in servers))


def prefix(interface: Interface) -> int:
    return IPv4Network(f"0.0.0.0/{interface.netmask}").prefixlen


def ifupdown(interfaces: Sequence[Interface]) -> str:
    """/etc/network/interfaces"""
    blocks = ["source /etc/network/interfaces.d/*\n", "auto lo\niface lo inet loopback\n"]
    for item in interfaces:
        lines = [f"auto {item.device}"] if item.onboot else []
        lines.append(f"iface {item.device} inet {'static' if item.address else 'dhcp'}")
        if item.address:
            lines.append(f"    address {item.address}/{prefix(item)}")
        if item.gateway:
            lines.append(f"    gateway {item.gateway}")
        if item.nameservers:
            lines.append(f"    dns-nameservers {' '.join(item.nameservers)}")
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def networkd(interface: Interface) -> str:
    """A .network file for systemd-networkd."""
    lines = ["[Match]", f"Name={interface.device}", ""]
    if not interface.onboot:
        lines += ["[Link]", "ActivationPolicy=manual", ""]
    lines.append("[Network]")
    if interface.address:
        lines.append(f"Address={interface.address}/{prefix(interface)}")
        lines += [f"Gateway={interface.gateway}"] if interface.gateway else []
    else:
        lines.append("DHCP=ipv4")
    lines += [f"DNS={server}" for server in interface.nameservers]
    return "\n".join(lines) + "\n"


def keyfile(interface: Interface) -> str:
    """A NetworkManager connection, without UUID: one is derived from the file's name."""
    lines = ["[connection]", f"id={interface.device}", "type=ethernet", f"interface-name={interface.device}"]
    if not interface.onboot:
        lines.append("autoconnect=false")
    lines += ["", "[ipv4]", f"method={'manual' if interface.address else 'auto'}"]
    if interface.address:
        gateway = f",{interface.gateway}" if interface.gateway else ""
        lines.append(f"address1={interface.address}/{prefix(interface)}{gateway}")
    servers4 = [server for server in interface.nameservers if ":" not in server]
    servers6 = [server for server in interface.nameservers if ":" in server]
    lines += [f"dns={';'.join(servers4)};"] if servers4 else []
    lines += ["", "[ipv6]", "method=auto"]
    lines += [f"dns={';'.join(servers6)};"] if servers6 else []
    return "\n".join(lines) + "\n"
