"""Keyfiles, NetworkManager.conf and networkd's files: parsed to lines and changed, with everything
else preserved."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagebuild.customise.network import addresses, ini, keyfiles, networkd

ADDRESS = "52:54:00:aa:bb:09"
UUID = "0e0e0e0e-1111-4222-8333-444444444444"


@given(st.text(max_size=200) | st.text(st.sampled_from("[]a=#;\\\n \t\r"), max_size=100), st.booleans())
def test_lines_are_the_text_again(text: str, systemd: bool) -> None:
    assert ini.render(ini.parse(text, systemd=systemd)) == text


_KEYS = {
    "connection": {"uuid": UUID, "id": "a = b", "type": "ethernet", "interface-name": "ens3",
        "timestamp": "1690000000", "stable-id": "${MAC}"},
    "ethernet": {"mac-address": ADDRESS, "cloned-mac-address": "stable", "mtu": "9000",
        "mac-address-blacklist": f"{ADDRESS};"},
    "802-3-ethernet": {"mac-address": "82;84;0;170;187;9;", "s390-nettype": "qeth"},
    "ipv4": {"dhcp-client-id": f"01:{ADDRESS}", "method": "auto", "dhcp-iaid": "mac", "address1": "192.0.2.7/24"},
    "ipv6": {"dhcp-duid": "00:04:11:22", "addr-gen-mode": "eui64", "token": "::1",
        "address1": "2001:db8:11:22:33:44:55:66/64"},
    "wireguard-peer.x": {"endpoint": "192.0.2.1:51820"},
}  # fmt: skip
_IDENTITY = {
    ("connection", "uuid"), ("connection", "timestamp"), ("ethernet", "mac-address"),
    ("ethernet", "mac-address-blacklist"),
    ("802-3-ethernet", "mac-address"), ("ipv4", "dhcp-client-id"), ("ipv6", "dhcp-duid"),
}  # fmt: skip


@st.composite
def _keyfiles(draw: st.DrawFn) -> str:
    text = draw(st.sampled_from(["", "# made by hand\n", f"#{ADDRESS}\n\n"]))
    for section in draw(st.lists(st.sampled_from(list(_KEYS)), max_size=5)):
        text += f"{draw(st.sampled_from(['', ' ']))}[{section}]\n"
        for key in draw(st.lists(st.sampled_from(list(_KEYS[section])), unique=True)):
            equals = draw(st.sampled_from(["=", " = ", "= ", "\t="]))
            text += (
                f"{draw(st.sampled_from(['', '', '  ']))}{key}{equals}{_KEYS[section][key]}"
                f"{draw(st.sampled_from(['', ' ']))}\n"
            )
        text += draw(st.sampled_from(["", "\n", "# a comment\n"]))
    return text


def _settings(text: str) -> list[tuple[str, str, str]]:
    return [(line.section, line.key, line.value) for line in ini.parse(text) if line.key]


@given(_keyfiles())
def test_keyfiles(text: str) -> None:
    edited = keyfiles.without_identity({"a": text}, {})
    assert edited.problems == ()
    after = edited.texts["a"]
    assert _settings(after) == [one for one in _settings(text) if one[:2] not in _IDENTITY]
    assert not addresses.names_address(after)
    assert keyfiles.without_identity({"a": after}, {}).texts["a"] == after
    assert [line for line in after.splitlines() if line not in text.splitlines()] == []


@given(
    st.lists(
        st.sampled_from(
            ["mac:52:54:00:aa:bb:09", "interface-name:veth*", "except:mac:52:54:00:aa:bb:0a", "*", "type:bond"]
        )
    )
)
def test_lists_of_devices(parts: list[str]) -> None:
    text = f"[keyfile]\nunmanaged-devices={';'.join(parts)}\n"
    after = keyfiles.configuration_without_addresses(text)
    kept = [part for part in parts if "mac:" not in part]
    if len(kept) == len(parts):
        assert after == text
    else:
        assert after == (f"[keyfile]\nunmanaged-devices={';'.join(kept)}\n" if kept else "[keyfile]\n")


_MATCHES = (
    "MACAddress=52:54:00:aa:bb:09",
    "PermanentMACAddress=52:54:00:aa:bb:09 \\\n  52:54:00:aa:bb:0a",
    "Name=ens3",
    "Driver=virtio_net",
)


@st.composite
def _networks(draw: st.DrawFn) -> str:
    match = draw(st.lists(st.sampled_from(_MATCHES), min_size=1, unique=True))
    rest = draw(st.lists(st.sampled_from([
        "[Link]\nMTUBytes=9000", "[Link]\nMACAddress=52:54:00:aa:bb:0b", "[Network]\nDHCP=yes",
        "[DHCPv4]\nIAID=7\nClientIdentifier=mac",
        "[DHCPv4]\nDUIDRawData=00:11", "; 52:54:00:aa:bb:09", "# a comment",
    ])))  # fmt: skip
    return "\n".join(["[Match]", *match, *rest, ""])


@given(_networks())
def test_networks_find_a_card(text: str) -> None:
    edited = networkd.without_identity({"/etc/systemd/network/a.network": text})
    ((_, after),) = edited.texts.items()
    lines = ini.parse(after, systemd=True)
    assert not addresses.names_address(after)
    match = {(line.key, line.value) for line in lines if line.section == "Match" and line.key}
    named = {("Name", "ens3"), ("Driver", "virtio_net")} & {
        tuple(one.split("=")) for one in text.splitlines() if "=" in one
    }
    assert match == (named or {("Type", "ether"), ("Kind", "!*")})
    kept = [line for line in text.splitlines() if line.startswith(("MTU", "DHCP=", "Client", "# a"))]
    assert [line for line in after.splitlines() if line in kept] == kept
    assert networkd.without_identity(edited.texts).texts == edited.texts


@pytest.mark.parametrize(
    ("value", "is_one"),
    [
        ("52:54:00:aa:bb:09", True),
        ("52-54-00-AA-BB-09", True),
        ("5254.00aa.bb09", True),
        ("82;84;0;170;187;9;", True),
        ("2:4:0:a:b:9", True),
        ("80:00:02:08:fe:80:00:00:00:00:00:00:f4:52:14:03:00:7b:cb:a1", True),
        ("ff:ff:ff:ff:ff:ff", False),
        ("00:00:00:00:00:00", False),
        ("2001:db8::1", False),
        ("20:01:0d:b8:11:22:33:44", False),
        ("random", False),
        ("192.0.2.7", False),
        ("12:30:00", False),
    ],
)
def test_addresses(value: str, is_one: bool) -> None:
    assert addresses.is_address(value) is is_one


@pytest.mark.parametrize(
    ("name", "kernel_names", "is_one"),
    [
        ("eth0", True, True), ("eth0", False, False), ("ens3", False, True), ("enp1s0f0np0", False, True),
        ("eno1", False, True),
        ("enP2p1s0", False, True), ("em1", False, True), ("p1p2", False, True), ("wlp3s0", False, True),
        ("ibp1s0", False, True),
        ("end0", False, True), ("enx525400aabb09", True, False), ("lan0", True, False), ("enable", True, False),
        ("id0", True, False),
        ("bond0", True, False),
    ],
)  # fmt: skip
def test_names_that_cards_have_by_default(name: str, kernel_names: bool, is_one: bool) -> None:
    assert addresses.is_cards_name(name, kernel_names=kernel_names) is is_one
