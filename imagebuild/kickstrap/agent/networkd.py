"""Files of systemd-networkd. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .ifupdown import prefix
from .interfaces import ANY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .interfaces import Interface

_BOND = {
    "mode": "Mode", "miimon": "MIIMonitorSec", "lacp_rate": "LACPTransmitRate", "updelay": "UpDelaySec",
    "xmit_hash_policy": "TransmitHashPolicy", "downdelay": "DownDelaySec", "ad_select": "AdSelect",
    "fail_over_mac": "FailOverMACPolicy", "arp_interval": "ARPIntervalSec", "arp_ip_target": "ARPIPTargets",
    "primary_reselect": "PrimaryReselectPolicy", "min_links": "MinLinks", "num_grat_arp": "GratuitousARP",
}  # fmt: skip
"""Options of the kernel's bonds as systemd.netdev(5) calls them."""
_MILLISECONDS = ("miimon", "updelay", "downdelay", "arp_interval")
_BRIDGE = {
    "stp": "STP", "forward-delay": "ForwardDelaySec", "hello-time": "HelloTimeSec", "max-age": "MaxAgeSec",
    "ageing-time": "AgeingTimeSec", "priority": "Priority", "multicast-snooping": "MulticastSnooping",
}  # fmt: skip
_MODES = ("balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb")
"""The modes of a bond by their numbers."""


def files(interfaces: Sequence[Interface]) -> Iterator[tuple[str, str]]:
    """The names and texts of all files."""
    vlans: dict[str, list[str]] = {}
    for item in interfaces:
        if item.kind == "vlan":
            vlans.setdefault(item.parent, []).append(item.device)
    for item in interfaces:
        if item.kind != "ethernet":
            yield f"10-{item.device}.netdev", netdev(item)
        yield f"10-{item.device or 'card'}.network", network(item, vlans.pop(item.device, ()))
        for port in _cards(item, interfaces):
            key = "Bond" if item.kind == "bond" else "Bridge"
            primary = ["PrimarySlave=true"] if ("primary", port) in item.options else []
            yield (
                f"10-{port}.network",
                _text(["[Match]", f"Name={port}", "", "[Network]", f"{key}={item.device}", *primary]),
            )
    for parent, names in vlans.items():
        lines = ["[Match]", *_match(parent), "", "[Network]", "LinkLocalAddressing=no"]
        yield f"10-{parent or 'card'}.network", _text(lines + [f"VLAN={name}" for name in names])


def _cards(item: Interface, interfaces: Sequence[Interface]) -> list[str]:
    """The ports that are no interfaces themselves."""
    return [port for port in item.ports if port not in {one.device for one in interfaces}]


def netdev(item: Interface) -> str:
    """The file that creates a bond, a bridge or a VLAN."""
    lines = ["[NetDev]", f"Name={item.device}", f"Kind={item.kind}", ""]
    if item.kind == "vlan":
        return _text([*lines, "[VLAN]", f"Id={item.vlan}"])
    lines.append("[Bond]" if item.kind == "bond" else "[Bridge]")
    for name, value in item.options:
        known = (_BOND if item.kind == "bond" else _BRIDGE).get(name)
        if name == "mode" and value.isdecimal():
            value = _MODES[int(value)]
        if known:
            lines.append(f"{known}={value}{'ms' if name in _MILLISECONDS else ''}")
    return _text(lines)


def network(item: Interface, vlans: Sequence[str] = ()) -> str:
    """The file that gives an interface its addresses."""
    lines = ["[Match]", *_match(item.device), ""]
    link = [] if item.onboot else ["ActivationPolicy=manual"]
    link += [f"MTUBytes={item.mtu}"] if item.mtu else []
    lines += ["[Link]", *link, ""] if link else []
    lines.append("[Network]")
    automatic = item.ipv4 and not item.address
    if item.address:
        lines.append(f"Address={item.address}/{prefix(item)}")
        lines += [f"Gateway={item.gateway}"] if item.gateway and item.default_route else []
    if automatic or item.ipv6 == "dhcp":
        lines.append(f"DHCP={'yes' if automatic and item.ipv6 == 'dhcp' else 'ipv4' if automatic else 'ipv6'}")
    if item.ipv6 not in {"", "auto", "dhcp"}:
        lines.append(f"Address={item.ipv6}")
        lines += [f"Gateway={item.gateway6}"] if item.gateway6 and item.default_route else []
    lines += ["LinkLocalAddressing=no", "IPv6AcceptRA=no"] if item.no_ipv6 else []
    lines += [f"DNS={server}" for server in item.nameservers]
    lines += [f"Domains={' '.join(item.search)}"] if item.search else []
    lines += [f"VLAN={name}" for name in vlans]
    lines += [f"{item.master_kind.title()}={item.master}"] if item.master else []
    lines += ["", "[DHCPv4]", "UseGateway=no"] if automatic and not item.default_route else []
    return _text(lines)


def _match(device: str) -> list[str]:
    return [f"Name={device}"] if device != ANY else ["Name=e*", "Type=ether"]


def _text(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n"
