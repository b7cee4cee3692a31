"""Checks the values of ``network``. Pure, on pykickstart's parsed objects."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any

from .interfaces import FIRST_CARD, pairs

if TYPE_CHECKING:
    from collections.abc import Iterator

_DEVICE = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,14}")
_HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*")
_OPTION = re.compile(r"[a-z][a-z0-9_-]*"), re.compile(r"[A-Za-z0-9_.:+,-]+")
_NAMED = "name the interface as the guest will see it, for example eth0"
_LAST_MODE = 6
"""The modes of the kernel's bonds have numbers, too."""
_IPV6 = {"", "auto", "dhcp"}
_Found = tuple[str, str | None]


def problems(networks: list[Any]) -> Iterator[tuple[int, str, str | None]]:
    """Line, message and hint of each value that is not supported."""
    for net in networks:
        for message, hint in (*_devices(net), *_ipv4(net), *_other(net)):
            yield net.lineno, f"network: {message}", hint


def _devices(net: Any) -> Iterator[_Found]:
    if net.hostname and not _HOSTNAME.fullmatch(net.hostname):
        yield f"{net.hostname!r} is not a host name", None
    if net.device and net.device not in FIRST_CARD and not _DEVICE.fullmatch(net.device):
        yield f"--device={net.device} is not supported by kickstrap", _NAMED
    if (net.bondslaves or net.bridgeslaves) and (not net.device or net.device in FIRST_CARD):
        yield "--device is missing: the name of the bond or bridge", "add --device=bond0, for example"
    if net.bondslaves and net.bridgeslaves:
        yield "--bondslaves and --bridgeslaves exclude each other", "make the bond with another network line"
    for port in [*(net.bondslaves or "").split(","), *(net.bridgeslaves or "").split(",")]:
        if port and not _DEVICE.fullmatch(port.strip()):
            yield f"{port.strip()!r} is not the name of an interface", _NAMED
    for name, value in [*pairs(net.bondopts), *pairs(net.bridgeopts)]:
        wrong_mode = name == "mode" and value.isdecimal() and int(value) > _LAST_MODE
        if wrong_mode or not _OPTION[0].fullmatch(name) or not _OPTION[1].fullmatch(value):
            yield f"{name}={value} is not an option of a bond or bridge", "write mode=active-backup,miimon=100"
    if net.vlanid and not (str(net.vlanid).isdecimal() and 0 < int(net.vlanid) < 4095):
        yield f"--vlanid={net.vlanid} is not from 1 to 4094", None
    name = net.interfacename or (f"{net.device}.{net.vlanid}" if net.vlanid else "")
    if name and not _DEVICE.fullmatch(name):
        yield f"{name!r} is not the name of an interface", "give the VLAN a name of at most 15 letters: --interfacename"


def _ipv4(net: Any) -> Iterator[_Found]:
    if net.bootProto not in {"dhcp", "static", "bootp", "ibft"} and not net.noipv4:
        yield f"--bootproto={net.bootProto} is not supported by kickstrap", "use dhcp or static"
    alone = net.noipv4 or net.ipv6 not in _IPV6
    if net.bootProto == "static" and not (net.ip and net.netmask) and not (alone and not net.ip):
        yield "--bootproto=static needs --ip and --netmask", None
    elif net.ip and not net.netmask:
        yield "--ip needs --netmask", None
    if net.netmask and not _is_netmask(net.netmask):
        yield f"--netmask={net.netmask} is not an IPv4 netmask", None
    for address in [net.ip, net.gateway]:
        if address and not _is_address(address, 4):
            yield f"{address} is not an IPv4 address", None


def _other(net: Any) -> Iterator[_Found]:
    for address in (net.nameserver or "").split(","):
        if address.strip() and not _is_address(address.strip()):
            yield f"{address} is not an IP address", None
    if net.ipv6 not in _IPV6 and not _is_prefix(net.ipv6):
        yield f"--ipv6={net.ipv6} is not an IPv6 address with its prefix", "write it as 2001:db8::7/64"
    if net.ipv6gateway and not _is_address(net.ipv6gateway, 6):
        yield f"{net.ipv6gateway} is not an IPv6 address", None
    if net.mtu and not (str(net.mtu).isdecimal() and 68 <= int(net.mtu) <= 65536):
        yield f"--mtu={net.mtu} is not from 68 to 65536", None
    for domain in f"{net.ipv4_dns_search or ''},{net.ipv6_dns_search or ''}".split(","):
        if domain.strip() and not _HOSTNAME.fullmatch(domain.strip()):
            yield f"{domain.strip()!r} is not a domain", None


def _is_address(text: str, version: int | None = None) -> bool:
    try:
        return version in {None, ipaddress.ip_address(text).version}
    except ValueError:
        return False


def _is_prefix(text: str) -> bool:
    try:
        return "/" in text and bool(ipaddress.IPv6Interface(text))
    except ValueError:
        return False


def _is_netmask(text: str) -> bool:
    try:
        return _is_address(text, 4) and bool(ipaddress.IPv4Network(f"0.0.0.0/{text}"))
    except ValueError:
        return False
