"""Which addresses in network configurations are the guest's own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagebuild.customise.audit import ip_addresses

NETPLAN, CLOUD, IFCFG = "/etc/netplan/50-x.yaml", "/etc/cloud/cloud.cfg.d/90-net.cfg", "/etc/sysconfig/network/ifcfg-x"
PORT = "network:\n  version: 2\n  ethernets:\n    ens3:\n"


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        (NETPLAN, f"{PORT}      addresses: [192.0.2.10/24, '2001:db8::10/64']\n", {"192.0.2.10", "2001:db8::10"}),
        (NETPLAN, f"{PORT}      addresses:\n      - 192.0.2.10/24\n", {"192.0.2.10"}),
        (NETPLAN, f"{PORT}      addresses:\n      - 192.0.2.10/24: {{lifetime: 0}}\n", {"192.0.2.10"}),
        (NETPLAN, "network: {ethernets: {ens3: {addresses: [192.0.2.10/24]}}}\n", {"192.0.2.10"}),
        (NETPLAN, f"{PORT}      nameservers:\n        addresses:\n        - 192.0.2.53\n", set()),
        (NETPLAN, f"{PORT}      nameservers: {{addresses: [192.0.2.53]}}\n      gateway4: 192.0.2.1\n", set()),
        (NETPLAN, f"{PORT}      routes:\n      - to: 198.51.100.7\n        via: 192.0.2.1\n", set()),
        (CLOUD, "network:\n  config:\n  - subnets:\n    - {type: static, address: 192.0.2.10/24}\n", {"192.0.2.10"}),
        (CLOUD, "network:\n  config:\n  - type: nameserver\n    address: 192.0.2.53\n", set()),
        (CLOUD, "ntp:\n  servers:\n  - 192.0.2.123\n", set()),
        (IFCFG, "IPADDR='192.0.2.10/24'\nDNS1=192.0.2.53\n", {"192.0.2.10"}),
        ("/etc/network/interfaces", "iface eth0 inet static\n  address 192.0.2.10/24\n", {"192.0.2.10"}),
        ("/var/lib/dhcp/dhclient.leases", "  fixed-address 192.0.2.10;\n", {"192.0.2.10"}),
    ],
)
def test_own_addresses_and_those_of_others(path: str, text: str, expected: set[str]) -> None:
    assert {str(one) for one in ip_addresses.given_in(path, text)} == expected


@pytest.mark.seconds
@pytest.mark.parametrize(
    "text", ["a: &a\n  b: *a\n  addresses: [192.0.2.10]\n", "[" * 5000, "a: [", "- &x [*x]\n", "? [a]\n: 1\n"]
)
def test_odd_values_are_not_errors(text: str) -> None:
    assert len(ip_addresses.given_in(NETPLAN, text)) <= 1


@given(st.text(alphabet="addresse: [{}]-&*?\n/192.", max_size=200))
def test_whatever_is_written_there(text: str) -> None:
    ip_addresses.given_in(NETPLAN, text)
    ip_addresses.given_in(IFCFG, text)
