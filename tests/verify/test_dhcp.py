"""Identifiers in captured DHCP requests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagebuild.verify.dhcp import asked, identities

MAC = bytes.fromhex("525400123456")
OTHER = bytes.fromhex("525400abcdef")
DUID_EN = bytes.fromhex("00020000ab11") + bytes.fromhex("0123456789abcdef")
"""A DUID of systemd: type 2, its enterprise number, 8 bytes made of the machine id."""


def option(code: int, value: bytes, width: int = 1) -> bytes:
    return code.to_bytes(width, "big") + len(value).to_bytes(width, "big") + value


def udp(source: int, target: int, data: bytes) -> bytes:
    return b"".join(number.to_bytes(2, "big") for number in (source, target, 8 + len(data), 0)) + data


def ipv4(segment: bytes, *, options: bytes = b"", protocol: int = 17) -> bytes:
    length = 20 + len(options)
    head = (
        bytes([0x40 | length // 4, 0]) + (length + len(segment)).to_bytes(2, "big") + bytes(4) + bytes([64, protocol])
    )
    return head + bytes(2) + bytes(4) + b"\xff" * 4 + options + segment


def ipv6(segment: bytes, header: int = 17) -> bytes:
    return bytes.fromhex("60000000") + len(segment).to_bytes(2, "big") + bytes([header, 1]) + bytes(32) + segment


def frame(packet: bytes, kind: int = 0x0800, mac: bytes = MAC) -> bytes:
    return b"\xff" * 6 + mac + kind.to_bytes(2, "big") + packet


def discover(*options: bytes, mac: bytes = MAC, end: bytes = b"\xff", target: int = 67) -> bytes:
    """DHCPDISCOVER (RFC 2131)."""
    bootp = bytes([1, 1, 6, 0]) + b"\x12\x34\x56\x78" + bytes(20) + mac + bytes(10) + bytes(192)
    assert len(bootp) == 236
    cookie = b"\x63\x82\x53\x63"
    return frame(ipv4(udp(68, target, bootp + cookie + b"".join(options) + end)), mac=mac)


def solicit(*options: bytes, mac: bytes = MAC, target: int = 547) -> bytes:
    """DHCPv6 SOLICIT (RFC 8415)."""
    return frame(ipv6(udp(546, target, b"\x01\xab\xcd\xef" + b"".join(options))), 0x86DD, mac)


KIND = option(53, b"\x01")


def test_a_client_identifier_of_rfc_4361() -> None:
    value = b"\xff" + b"\x00\x12\x34\x56" + DUID_EN
    found = discover(KIND, b"\0\0", option(55, b"\x01\x03"), option(61, value))
    assert identities([found]) == {"DHCP client identifier": value.hex()}
    assert asked([found])


def test_an_identifier_that_is_the_hardware_address_is_none() -> None:
    assert identities([discover(KIND, option(61, b"\x01" + MAC))]) == {}
    link = b"\xff\x00\x12\x34\x56" + b"\x00\x03\x00\x01" + MAC
    assert identities([discover(option(61, link)), solicit(option(1, b"\x00\x03\x00\x01" + MAC, 2))]) == {}
    assert identities([discover(KIND)]) == {}
    assert asked([discover(KIND)])


def test_the_hardware_address_of_another_machine_is_an_identity() -> None:
    other = b"\x00\x01\x00\x01\x2b\x00\x00\x00" + OTHER
    assert identities([discover(option(61, b"\x01" + OTHER))]) == {"DHCP client identifier": f"01{OTHER.hex()}"}
    assert identities([solicit(option(1, other, 2))]) == {"DHCPv6 DUID": other.hex()}


def test_a_duid_of_dhcpv6() -> None:
    found = solicit(option(8, b"\0\0", 2), option(1, DUID_EN, 2), option(3, bytes(12), 2))
    assert identities([found]) == {"DHCPv6 DUID": DUID_EN.hex()}
    assert asked([found])


def test_the_last_identifier_counts() -> None:
    first, last = (discover(option(61, b"\0" + name)) for name in (b"first", b"last"))
    assert identities([first, b"", last]) == {"DHCP client identifier": (b"\0last").hex()}


def test_options_of_the_ip_header_are_skipped() -> None:
    bare = discover(option(61, b"\0name"))
    longer = frame(ipv4(bare[14 + 20 :], options=b"\x94\x04\0\0"))
    assert identities([longer]) == {"DHCP client identifier": (b"\0name").hex()}


@pytest.mark.parametrize(
    "other",
    [
        discover(option(61, b"\0name"), target=68),
        solicit(option(1, DUID_EN, 2), target=546),
        frame(ipv4(udp(5353, 53, b"\x01" * 300))),
        frame(ipv4(bytes(300), protocol=6)),
        frame(ipv6(bytes(300), 58), 0x86DD),
        frame(bytes(28), 0x0806),
    ],
)
def test_other_traffic_is_no_request(other: bytes) -> None:
    assert identities([other]) == {}
    assert not asked([other])


def test_options_behind_the_end_and_without_the_cookie_are_none() -> None:
    assert identities([discover(KIND, b"\xff", option(61, b"\0name"))]) == {}
    assert identities([discover(option(61, b"\0name")).replace(b"\x63\x82\x53\x63", b"abcd")]) == {}


def test_what_is_cut_off_is_no_identifier() -> None:
    whole = discover(option(61, b"\0name"), end=b"")
    assert identities([whole])
    for frames in (whole, solicit(option(1, DUID_EN, 2))):
        for length in range(len(frames)):
            assert identities([frames[:length]]) == {}


SEEDS = [discover(KIND, option(61, b"\xff" + bytes(4) + DUID_EN)), solicit(option(1, DUID_EN, 2)), b""]


@given(st.sampled_from(SEEDS), st.binary(max_size=400), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255))))
def test_hostile_frames_are_read(seed: bytes, more: bytes, changes: list[tuple[int, int]]) -> None:
    changed = bytearray(seed + more)
    for at, value in changes:
        if at < len(changed):
            changed[at] = value
    for one in (bytes(changed), more, more[:14] + seed[14:]):
        found = identities([one])
        assert set(found) <= {"DHCP client identifier", "DHCPv6 DUID"}
        assert all(value in one.hex() for value in found.values())
        assert asked([one]) or not found
