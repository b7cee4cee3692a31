"""A network interface is up and has an address.

The interface exists, is up with a carrier, and has an IPv4 or IPv6 address that other hosts can
reach, within 20 seconds: a link-local address, which the guest gives itself when no DHCP server
answers, does not count. Reads ``/sys/class/net`` and ``/proc/net``, and ``ip`` where it is installed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, ip_interface

from pydantic import Field

from imagebuild.verify import check, printed
from imagebuild.verify.check import Printed

PROBES = {
    # The first address may come after the first login.
    "interfaces": (
        "i=0; while [ $i -lt 20 ] && ! grep -qv '^Iface' /proc/net/route && "
        "! grep -qs '^[0-9a-f]* [0-9a-f]* [0-9a-f]* 00 ' /proc/net/if_inet6; do i=$((i + 1)); sleep 1; done; "
        'for d in /sys/class/net/*; do [ -r "$d/flags" ] || continue; '
        'echo "${d##*/} $(cat "$d/flags") $(cat "$d/operstate")"; done'
    ),
    "ipv4": "ip -o -4 addr show 2>/dev/null || { echo '(no ip)'; cat /proc/net/route; echo '(addresses)'; "
    "cat /proc/net/fib_trie; }",
    "ipv6": "if [ -e /proc/net/if_inet6 ]; then cat /proc/net/if_inet6; fi",
}
_UP = 0x1
"""IFF_UP of netdevice(7)."""
_DUPLICATE = 0x08
"""IFA_F_DADFAILED of the kernel's if_addr.h."""


class Params(check.Params):
    name: str = Field(default="eth0", pattern=r"^[A-Za-z0-9_.-]{1,15}$", description="name of the interface")


def judge(seen: Mapping[str, Printed], params: Params) -> Iterator[str]:
    states: dict[str, tuple[int, str]] = {}
    for line in printed.lines(seen, "interfaces", "the list of network interfaces"):
        match line.split():
            case [name, word, state] if re.fullmatch(r"0x[0-9a-f]{1,8}", word):
                states[name] = (int(word, 16), state)
    if not states:
        raise printed.unreadable("the list of network interfaces")
    if params.name not in states:
        others = ", ".join(sorted(set(states) - {"lo"}))
        yield f"{params.name} does not exist: " + (f"the guest has {others}" if others else "the guest has only lo")
        return
    flags, state = states[params.name]
    if not flags & _UP:
        yield f"{params.name} is down"
        return
    if state not in ("up", "unknown"):
        yield f"{params.name} is not connected: its state is {state}"
        return
    found = _ipv4(printed.output(seen, "ipv4").text, params.name) + _ipv6(
        printed.output(seen, "ipv6").lines, params.name
    )
    if any(not (one.is_link_local or one.is_loopback or one.is_unspecified or one.is_multicast) for one in found):
        return
    if not found and printed.output(seen, "ipv4").status != 0:
        raise printed.unreadable("the addresses of the network interfaces")
    only = f", only {', '.join(map(str, found))}" if found else ""
    yield f"{params.name} has no address that other hosts can reach{only}"


def _ipv4(text: str, name: str) -> list[IPv4Address | IPv6Address]:
    """The IPv4 addresses of an interface, from the output of ip or from the kernel's tables."""
    if not text.startswith("(no ip)"):
        words = re.findall(rf"^\d+:\s+{re.escape(name)}(?:@\S+)?\s+inet\s+(\S+)", text, re.MULTILINE)
        return [one.ip for one in map(_interface, words) if one is not None]
    routes, _, tree = text.partition("(addresses)")
    networks = []
    for line in routes.splitlines():
        match line.split():
            case [interface, target, gateway, *rest] if interface == name and len(rest) >= 5 and gateway == "0" * 8:
                networks.append(_network(target, rest[4]))
    addresses = {_interface(word) for word in re.findall(r"\|-- (\S+)\s+/32 host LOCAL", tree)}
    return [
        one.ip
        for one in sorted(one for one in addresses if isinstance(one, IPv4Interface))
        if any(network is not None and one.ip in network for network in networks)
    ]


def _interface(word: str) -> IPv4Interface | None:
    try:
        found = ip_interface(word)
    except ValueError:
        return None
    return found if isinstance(found, IPv4Interface) else None


def _network(target: str, mask: str) -> IPv4Network | None:
    """A network of /proc/net/route, whose numbers are in the byte order of the machine: little
    endian."""
    try:
        words = [IPv4Address(bytes.fromhex(word)[::-1]) for word in (target, mask)]
        return IPv4Network(f"{words[0]}/{words[1]}")
    except ValueError:
        return None


def _ipv6(lines: list[str], name: str) -> list[IPv4Address | IPv6Address]:
    """The IPv6 addresses of an interface, from /proc/net/if_inet6."""
    found: list[IPv4Address | IPv6Address] = []
    for line in lines:
        match line.split():
            case [address, _, _, _, flags, interface] if interface == name:
                if (
                    re.fullmatch(r"[0-9a-f]{32} [0-9a-f]{1,4}", f"{address} {flags}")
                    and not int(flags, 16) & _DUPLICATE
                ):
                    found.append(IPv6Address(int(address, 16)))
    return found
