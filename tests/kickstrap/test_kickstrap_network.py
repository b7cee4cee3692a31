"""Bonds, bridges, VLANs and IPv6 of a kickstart, as files of each of Debian's network tools."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagebuild.kickstrap.agent import ifupdown, kickstart, network, networkd, networkmanager, plan
from imagebuild.kickstrap.agent.command import CommandRunner
from imagebuild.kickstrap.agent.interfaces import Interface, pairs
from imagebuild.kickstrap.agent.target import Target

HEAD = "clearpart --all\npart / --size=100\nliveimg --url=file:///run/kickstrap/payload\n"
BOND = "network --device=bond0 --bondslaves=eth0,eth1 --bondopts=mode=active-backup,miimon=100,primary=eth1"
STATIC = "--bootproto=static --ip=192.0.2.7 --netmask=255.255.255.0 --gateway=192.0.2.1"


def interfaces(*lines: str) -> tuple[Interface, ...]:
    return plan.make(kickstart.read(HEAD + "\n".join(lines) + "\n")).interfaces


def test_without_a_device_it_is_the_first_card() -> None:
    for line in ("network --bootproto=dhcp", "network --device=link", "network --device=bootif --bootproto=dhcp"):
        (card,) = interfaces(line)
        assert card == Interface("")
    assert interfaces("network --hostname=a.example") == ()
    assert "auto /e*/1=card\niface card inet dhcp\n" in ifupdown.interfaces_file([card])
    assert networkd.network(card) == "[Match]\nName=e*\nType=ether\n\n[Network]\nDHCP=ipv4\n"
    assert "interface-name" not in networkmanager.keyfile(card)


def test_a_bond() -> None:
    found = interfaces("network --device=eth0 --bootproto=dhcp", f"{BOND} {STATIC} --mtu=9000")
    (bond,) = found
    assert ifupdown.interfaces_file(found).partition("loopback\n\n")[2] == (
        "auto bond0\n"
        "iface bond0 inet static\n"
        "    pre-up ip link add name $IFACE type bond mode active-backup miimon 100\n"
        "    pre-up ip link set dev eth0 down\n"
        "    pre-up ip link set dev eth0 master $IFACE\n"
        "    pre-up ip link set dev eth0 up\n"
        "    pre-up ip link set dev eth1 down\n"
        "    pre-up ip link set dev eth1 master $IFACE\n"
        "    pre-up ip link set dev eth1 up\n"
        "    pre-up ip link set dev $IFACE type bond primary eth1\n"
        "    post-down ip link del dev $IFACE\n"
        "    post-up ip link set dev $IFACE mtu 9000\n"
        "    address 192.0.2.7/24\n"
        "    gateway 192.0.2.1\n"
    )
    files = dict(networkd.files(found))
    assert (
        files["10-bond0.netdev"]
        == "[NetDev]\nName=bond0\nKind=bond\n\n[Bond]\nMode=active-backup\nMIIMonitorSec=100ms\n"
    )
    assert files["10-eth1.network"] == "[Match]\nName=eth1\n\n[Network]\nBond=bond0\nPrimarySlave=true\n"
    assert "MTUBytes=9000" in files["10-bond0.network"]
    connections = dict(networkmanager.files(found))
    assert sorted(connections) == ["bond0.nmconnection", "eth0.nmconnection", "eth1.nmconnection"]
    assert "[bond]\nmode=active-backup\nmiimon=100\nprimary=eth1\n" in connections["bond0.nmconnection"]
    assert "master=bond0\nslave-type=bond\n" in connections["eth0.nmconnection"]
    assert bond.ports == ("eth0", "eth1")


def test_a_bridge_on_a_bond() -> None:
    found = interfaces(
        "network --device=br0 --bridgeslaves=bond0 --bridgeopts=stp=yes,forward-delay=4 --bootproto=dhcp", BOND
    )
    assert [(one.device, one.master, one.ipv4) for one in found] == [("bond0", "br0", False), ("br0", "", True)]
    text = ifupdown.interfaces_file(found)
    assert "type bridge stp_state 1 forward_delay 400\n" in text
    assert text.index("iface bond0 inet manual") < text.index("iface br0 inet dhcp")
    files = dict(networkd.files(found))
    assert "Bridge=br0\n" in files["10-bond0.network"]
    assert "[Bridge]\nSTP=yes\nForwardDelaySec=4\n" in files["10-br0.netdev"]
    assert "master=br0\nslave-type=bridge\n" in dict(networkmanager.files(found))["bond0.nmconnection"]


def test_a_vlan_on_a_bond_in_one_line() -> None:
    found = interfaces(f"{BOND} --vlanid=7 {STATIC}")
    assert [(one.device, one.kind, one.parent, one.vlan) for one in found] == [
        ("bond0", "bond", "", 0),
        ("bond0.7", "vlan", "bond0", 7),
    ]
    assert "pre-up ip link add link bond0 name $IFACE type vlan id 7\n" in ifupdown.interfaces_file(found)
    files = dict(networkd.files(found))
    assert "VLAN=bond0.7\n" in files["10-bond0.network"]
    assert files["10-bond0.7.netdev"] == "[NetDev]\nName=bond0.7\nKind=vlan\n\n[VLAN]\nId=7\n"
    assert "[vlan]\nflags=1\nid=7\nparent=bond0\n" in dict(networkmanager.files(found))["bond0.7.nmconnection"]


def test_a_vlan_on_a_card_that_has_no_line() -> None:
    found = interfaces("network --device=eth0 --vlanid=9 --interfacename=lab --bootproto=dhcp")
    assert [one.device for one in found] == ["lab"]
    files = dict(networkd.files(found))
    assert files["10-eth0.network"] == "[Match]\nName=eth0\n\n[Network]\nLinkLocalAddressing=no\nVLAN=lab\n"


@pytest.mark.parametrize(
    ("options", "in_ifupdown", "in_networkd", "in_networkmanager"),
    [
        ("--noipv6", "/disable_ipv6", "IPv6AcceptRA=no", "[ipv6]\nmethod=disabled"),
        ("--ipv6=auto", "iface eth0 inet6 auto", "DHCP=ipv4", "[ipv6]\nmethod=auto"),
        ("--ipv6=dhcp", "iface eth0 inet6 dhcp", "DHCP=yes", "[ipv6]\nmethod=dhcp"),
        (
            "--noipv4 --ipv6=2001:db8::7/64 --ipv6gateway=2001:db8::1",
            "iface eth0 inet6 static\n    address 2001:db8::7/64\n    gateway 2001:db8::1",
            "Address=2001:db8::7/64\nGateway=2001:db8::1",
            "address1=2001:db8::7/64,2001:db8::1",
        ),
        ("--nodefroute", "ip route del default dev $IFACE", "[DHCPv4]\nUseGateway=no", "never-default=true"),
        ("--ipv4-dns-search=a.example,b.example", "dns-search a.example b.example", "Domains=a.example b.example",
            "dns-search=a.example;b.example;"),
        ("--onboot=no", "iface eth0 inet dhcp", "ActivationPolicy=manual", "autoconnect=false"),
    ],
)  # fmt: skip
def test_options(options: str, in_ifupdown: str, in_networkd: str, in_networkmanager: str) -> None:
    found = interfaces(f"network --device=eth0 --bootproto=dhcp {options}")
    assert in_ifupdown in ifupdown.interfaces_file(found)
    assert in_networkd in networkd.network(found[0])
    assert in_networkmanager in networkmanager.keyfile(found[0])
    assert ("auto eth0" in ifupdown.interfaces_file(found)) is ("onboot" not in options)


def test_options_of_bonds_may_be_separated_by_semicolons() -> None:
    assert pairs("mode=1;arp_ip_target=192.0.2.1,192.0.2.2") == (
        ("mode", "1"),
        ("arp_ip_target", "192.0.2.1,192.0.2.2"),
    )
    assert pairs(None) == ()


def test_networkmanager_names_the_zone_of_trusted_interfaces(tmp_path: Path) -> None:
    found = interfaces("network --device=eth0 --bootproto=dhcp", f"{BOND.replace('eth0,eth1', 'eth2,eth3')} {STATIC}")
    trusted = ("eth0", "eth1", "eth2", "lo")
    target = Target(tmp_path, CommandRunner(lambda _: None))
    target.write("/usr/sbin/NetworkManager", "")
    network.configure(target, found, trusted)
    folder = "/etc/NetworkManager/system-connections"
    assert "zone" not in target.read(f"{folder}/eth0.nmconnection")  # without firewalld there are no zones
    target.write("/usr/sbin/firewalld", "")
    network.configure(target, found, trusted)
    for name in ("eth0", "eth1"):
        text = target.read(f"{folder}/{name}.nmconnection")
        assert f"interface-name={name}\nzone=trusted\n" in text
        assert "[ipv4]\nmethod=auto\n" in text
    assert "zone" not in target.read(f"{folder}/bond0.nmconnection")
    assert "zone" not in target.read(f"{folder}/eth2.nmconnection")  # a port has its bond's
    assert not target.has(f"{folder}/lo.nmconnection")
