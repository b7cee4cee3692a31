"""What guests say of themselves in DHCP requests, read from captured Ethernet frames. Pure.

Formats: Ethernet, IPv4 (RFC 791), IPv6 (RFC 8200), UDP (RFC 768), DHCP (RFC 2131, options RFC
2132), DHCPv6 (RFC 8415).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

_IPV4, _IPV6, _UDP = 0x0800, 0x86DD, 17
_COOKIE = b"\x63\x82\x53\x63"
_CLIENT_ID, _DUID, _END = 61, 1, 255


def identities(frames: Iterable[bytes]) -> dict[str, str]:
    """The identifiers that a guest has sent, in hexadecimal: ``DHCP client identifier`` and
    ``DHCPv6 DUID``, each the last one if it changed. An identifier that is only the card's hardware
    address is left out: every clone has another card.
    """
    found: dict[str, str] = {}
    for frame in frames:
        for name, value, hardware in _sent(frame):
            if value and not value.endswith(hardware):
                found[name] = value.hex()
    return found


def asked(frames: Iterable[bytes]) -> bool:
    """Whether the guest has sent any DHCP or DHCPv6 request."""
    return any(_datagram(frame) is not None for frame in frames)


def _sent(frame: bytes) -> Iterator[tuple[str, bytes, bytes]]:
    """Name, value, and the card's hardware address."""
    datagram = _datagram(frame)
    if datagram is None:
        return
    port, data = datagram
    hardware = frame[6:12]
    if port == 67 and data[236:240] == _COOKIE:
        yield from (
            ("DHCP client identifier", value, hardware) for code, value in _options(data[240:], 1) if code == _CLIENT_ID
        )
    elif port == 547:
        yield from (("DHCPv6 DUID", value, hardware) for code, value in _options(data[4:], 2) if code == _DUID)


def _datagram(frame: bytes) -> tuple[int, bytes] | None:
    """The destination port and the data of a request to a DHCP server."""
    kind, packet = int.from_bytes(frame[12:14], "big"), frame[14:]
    if kind == _IPV4 and len(packet) >= 20 and packet[9] == _UDP:
        segment = packet[(packet[0] & 15) * 4 :]
    elif kind == _IPV6 and len(packet) >= 40 and packet[6] == _UDP:
        segment = packet[40:]
    else:
        return None
    port = int.from_bytes(segment[2:4], "big")
    return (port, segment[8:]) if port in (67, 547) else None


def _options(data: bytes, width: int) -> Iterator[tuple[int, bytes]]:
    """The complete options: code and length have ``width`` bytes each (1 in DHCP, 2 in DHCPv6)."""
    at = 0
    while at + width <= len(data):
        code = int.from_bytes(data[at : at + width], "big")
        at += width
        if width == 1 and code == 0:
            continue
        if width == 1 and code == _END:
            return
        length = int.from_bytes(data[at : at + width], "big")
        at += width
        if at + length > len(data):
            return
        yield code, data[at : at + length]
        at += length
