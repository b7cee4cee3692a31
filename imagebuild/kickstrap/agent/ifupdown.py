"""/etc/network/interfaces, for Debian's ifupdown. Bonds, bridges and VLANs are made with iproute2, so
that no further package is needed. Pure.
"""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import TYPE_CHECKING

from .interfaces import ANY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .interfaces import Interface

_CARD = "card"
"""The logical name of the first card, whose real one is not known (interfaces(5), patterns)."""


def prefix(interface: Interface) -> int:
    """The length of the IPv4 prefix."""
    return IPv4Network(f"0.0.0.0/{interface.netmask}").prefixlen


def interfaces_file(interfaces: Sequence[Interface]) -> str:
    """The file for all interfaces."""
    blocks = ["source /etc/network/interfaces.d/*\n", "auto lo\niface lo inet loopback\n"]
    blocks += ["\n".join(_stanzas(item)) + "\n" for item in interfaces]
    return "\n".join(blocks)


def _stanzas(item: Interface) -> list[str]:
    name = item.device or _CARD
    lines = [f"auto {item.device or f'/e*/1={_CARD}'}"] if item.onboot else []
    make = [f"    {line}" for line in _making(item)]
    if item.mtu:
        make.append(f"    post-up ip link set dev $IFACE mtu {item.mtu}")
    if item.no_ipv6:
        make.append("    pre-up echo 1 > /proc/sys/net/ipv6/conf/$IFACE/disable_ipv6 || true")
    if not item.ipv4:
        return [*lines, f"iface {name} inet manual", *make, "    up ip link set dev $IFACE up", *_inet6(item, name)]
    lines += [f"iface {name} inet {'static' if item.address else 'dhcp'}", *make]
    if item.address:
        lines.append(f"    address {item.address}/{prefix(item)}")
    if item.gateway and item.default_route:
        lines.append(f"    gateway {item.gateway}")
    if not item.address and not item.default_route:
        lines.append("    up ip route del default dev $IFACE || true")
    if item.nameservers:
        lines.append(f"    dns-nameservers {' '.join(item.nameservers)}")
    if item.search:
        lines.append(f"    dns-search {' '.join(item.search)}")
    return [*lines, *_inet6(item, name)]


def _inet6(item: Interface, name: str) -> list[str]:
    if not item.ipv6:
        return []
    if item.ipv6 in {"auto", "dhcp"}:
        return [f"iface {name} inet6 {item.ipv6}"]
    gateway = [f"    gateway {item.gateway6}"] if item.gateway6 and item.default_route else []
    return [f"iface {name} inet6 static", f"    address {item.ipv6}", *gateway]


def _making(item: Interface) -> list[str]:
    """The commands that create an interface that is no card."""
    if item.kind == "vlan":
        parent = item.parent if item.parent != ANY else "$(ls /sys/class/net | grep -m1 '^e')"
        return [
            f"pre-up ip link set dev {parent} up",
            f"pre-up ip link add link {parent} name $IFACE type vlan id {item.vlan}",
            "post-down ip link del dev $IFACE",
        ]
    if item.kind == "ethernet":
        return []
    # an option that names a port, such as primary, can be set only when it is one
    first = "".join(f" {name} {value}" for name, value in item.options if value not in item.ports)
    later = "".join(f" {name} {value}" for name, value in item.options if value in item.ports)
    lines = [f"pre-up ip link add name $IFACE type {item.kind}{_bridge(first) if item.kind == 'bridge' else first}"]
    for port in item.ports:
        # in three steps: one command with both would start the port first, and a bond refuses it then
        lines += [f"pre-up ip link set dev {port} {what}" for what in ("down", "master $IFACE", "up")]
    lines += [f"pre-up ip link set dev $IFACE type {item.kind}{later}"] if later else []
    return [*lines, "post-down ip link del dev $IFACE"]


_BRIDGE = {
    "stp": "stp_state",
    "forward-delay": "forward_delay",
    "hello-time": "hello_time",
    "max-age": "max_age",
    "ageing-time": "ageing_time",
    "priority": "priority",
    "multicast-snooping": "mcast_snooping",
}
"""Options of NetworkManager's bridges, which kickstarts use, as iproute2 calls them."""
_IN_HUNDREDTHS = ("forward_delay", "hello_time", "max_age", "ageing_time")
"""Those that iproute2 takes in hundredths of a second."""


def _bridge(options: str) -> str:
    words = options.split()
    made = ""
    for name, value in zip(words[::2], words[1::2], strict=True):
        word = _BRIDGE.get(name, name.replace("-", "_"))
        number = {"yes": "1", "no": "0"}.get(value, value)
        made += f" {word} {int(number) * 100 if word in _IN_HUNDREDTHS and number.isdecimal() else number}"
    return made
