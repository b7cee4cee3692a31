"""Nothing listens on the network but what is allowed.

Every TCP and UDP socket that waits on an address other than the loopback's must be one of the
allowed ones. A client of NTP or DHCP that waits for an answer on a random UDP port does not listen.
Reads ``/proc/net``; the names of the programs come from ``/proc``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated

from pydantic import AfterValidator, Field

from imagebuild.verify import check, printed
from imagebuild.verify.check import NotCheckable, Printed

PROBES = {
    # 0A is a TCP socket that listens, 07 a UDP socket without a peer.
    "sockets": (
        "for f in tcp tcp6 udp udp6; do [ -r /proc/net/$f ] && "
        'grep -E "local_address| 0A | 07 " /proc/net/$f | sed "s/^/$f /"; done; true'
    ),
    "programs": (
        "ls -l /proc/[0-9]*/fd 2>/dev/null | grep -e '^/proc' -e 'socket:'; grep -H . /proc/[0-9]*/comm 2>/dev/null"
    ),
}
_CLIENTS = {"systemd-timesyn", "chronyd", "dhclient"}
"""Programs that ask from random UDP ports, as /proc shows their names: with 15 characters at most."""
_RANDOM = range(32768, 61000)
"""The kernel's net.ipv4.ip_local_port_range, from which such ports are."""
_WAITING = {"tcp": "0A", "udp": "07"}


def _port(text: str) -> str:
    match = re.fullmatch(r"(tcp|udp)/([0-9]{1,5})", text)
    if match is None or not 0 < int(match[2]) < 65536:
        raise ValueError("must be a protocol and a port, such as tcp/22 or udp/68")
    return f"{match[1]}/{int(match[2])}"


class Params(check.Params):
    allowed: tuple[Annotated[str, AfterValidator(_port)], ...] = Field(
        default=("tcp/22", "udp/68", "udp/546"),
        description="protocols and ports such as tcp/22; the default is SSH and the clients of DHCP",
    )


def judge(seen: Mapping[str, Printed], params: Params) -> Iterator[str]:
    lines = printed.lines(seen, "sockets", "the list of sockets")
    if not {line.split()[0] for line in lines if "local_address" in line} >= {"tcp", "udp"}:
        raise NotCheckable("the list of sockets could not be read")
    programs = _programs(printed.output(seen, "programs").lines)
    found: dict[str, tuple[set[str], set[str]]] = {}
    for line in lines:
        words = line.split()
        if len(words) < 11 or "local_address" in line or words[4] != _WAITING.get(words[0][:3]):
            continue
        address, port = _address(words[2])
        if address is None:
            raise NotCheckable(f"an address in the list of sockets could not be read: {words[2][:60]}")
        owners = programs.get(words[10], set())
        asking = words[0].startswith("udp") and port in _RANDOM and bool(owners) and owners <= _CLIENTS
        if not address.is_loopback and not asking:
            addresses, names = found.setdefault(f"{words[0][:3]}/{port}", (set(), set()))
            addresses.add(str(address))
            names |= owners
    for socket, (addresses, names) in sorted(found.items(), key=lambda one: (one[0][:3], int(one[0][4:]))):
        if socket not in params.allowed:
            who = " and ".join(sorted(names)) or "a program"
            yield f"{who} listen{'' if len(names) > 1 else 's'} on {socket} ({', '.join(sorted(addresses))})"


def _address(word: str) -> tuple[IPv4Address | IPv6Address | None, int]:
    """An address and port of /proc/net: words of 32 bits in the byte order of the machine, little
    endian."""
    match = re.fullmatch(r"([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4})", word)
    if match is None:
        return None, 0
    data = bytes.fromhex(match[1])
    raw = b"".join(data[start : start + 4][::-1] for start in range(0, len(data), 4))
    address = IPv4Address(raw) if len(raw) == 4 else IPv6Address(raw)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address, int(match[2], 16)


def _programs(lines: list[str]) -> dict[str, set[str]]:
    """The names of the programs that hold a socket, by its inode."""
    names = dict(re.findall(r"^/proc/(\d+)/comm:(.{1,40})$", "\n".join(lines), re.MULTILINE))
    found: dict[str, set[str]] = {}
    process = ""
    for line in lines:
        if match := re.match(r"/proc/(\d+)/fd:$", line):
            process = match[1]
        elif (match := re.search(r"socket:\[(\d+)\]$", line)) and process in names:
            found.setdefault(match[1], set()).add(names[process])
    return found
