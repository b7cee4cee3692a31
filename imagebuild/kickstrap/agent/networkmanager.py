"""Connections of NetworkManager, without UUIDs: it derives one from the file's name. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .ifupdown import prefix
from .interfaces import Interface

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


ZONE = "trusted"
"""firewalld's zone of the interfaces from which everything comes in."""


def files(interfaces: Sequence[Interface], trusted: Sequence[str] = ()) -> Iterator[tuple[str, str]]:
    """The names and texts of all files. The interfaces ``trusted`` are in that zone of firewalld, to
    which NetworkManager says the zone of each: what firewalld's own files say has no effect then.
    """
    for item in interfaces:
        yield f"{item.device or 'card'}.nmconnection", keyfile(item, ZONE if item.device in trusted else "")
        for port in item.ports:
            if port in {one.device for one in interfaces}:
                continue
            # master and slave-type are the names that every version reads
            lines = [f"id={port}", "type=ethernet", f"interface-name={port}", f"master={item.device}"]
            yield f"{port}.nmconnection", "\n".join(["[connection]", *lines, f"slave-type={item.kind}"]) + "\n"
    named = {name for item in interfaces for name in (item.device, *item.ports)}
    for name in trusted:
        if name not in named and name != "lo":
            yield f"{name}.nmconnection", keyfile(Interface(name), ZONE)


def keyfile(item: Interface, zone: str = "") -> str:
    """The connection of an interface, in ``zone`` of firewalld or in its default."""
    lines = ["[connection]", f"id={item.device or 'card'}", f"type={item.kind}"]
    lines += [f"interface-name={item.device}"] if item.device else []
    lines += [f"zone={zone}"] if zone and not item.master else []
    lines += [f"master={item.master}", f"slave-type={item.master_kind}"] if item.master else []
    if not item.onboot:
        lines.append("autoconnect=false")
    if item.kind == "vlan":
        lines += ["", "[vlan]", "flags=1", f"id={item.vlan}", f"parent={item.parent}"]
    elif item.kind != "ethernet":
        lines += ["", f"[{item.kind}]", *(f"{name}={_value(item, value)}" for name, value in item.options)]
    lines += ["", "[ethernet]", f"mtu={item.mtu}"] if item.mtu else []
    if item.master:
        return "\n".join(lines) + "\n"
    return "\n".join([*lines, "", *_ipv4(item), "", *_ipv6(item)]) + "\n"


def _value(item: Interface, value: str) -> str:
    return {"yes": "true", "no": "false"}.get(value, value) if item.kind == "bridge" else value


def _ipv4(item: Interface) -> list[str]:
    if not item.ipv4:
        return ["[ipv4]", "method=disabled"]
    lines = ["[ipv4]", f"method={'manual' if item.address else 'auto'}"]
    if item.address:
        gateway = f",{item.gateway}" if item.gateway else ""
        lines.append(f"address1={item.address}/{prefix(item)}{gateway}")
    servers = [server for server in item.nameservers if ":" not in server]
    lines += [f"dns={';'.join(servers)};"] if servers else []
    lines += [f"dns-search={';'.join(item.search)};"] if item.search else []
    return [*lines, *([] if item.default_route else ["never-default=true"])]


def _ipv6(item: Interface) -> list[str]:
    if item.no_ipv6:
        return ["[ipv6]", "method=disabled"]
    fixed = item.ipv6 not in {"", "auto", "dhcp"}
    lines = ["[ipv6]", f"method={'manual' if fixed else item.ipv6 or 'auto'}"]
    if fixed:
        lines.append(f"address1={item.ipv6}{f',{item.gateway6}' if item.gateway6 else ''}")
    servers = [server for server in item.nameservers if ":" in server]
    lines += [f"dns={';'.join(servers)};"] if servers else []
    return [*lines, *([] if item.default_route or not item.ipv6 else ["never-default=true"])]
