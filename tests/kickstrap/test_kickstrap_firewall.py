"""``firewall`` becomes rules of nftables or of firewalld, in a folder."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from imagebuild.kickstrap.agent import firewall, kickstart, plan, supported
from imagebuild.kickstrap.agent.command import CommandRunner
from imagebuild.kickstrap.agent.errors import InstallError
from imagebuild.kickstrap.agent.firewall import Firewall
from imagebuild.kickstrap.agent.services import ServiceChanges
from imagebuild.kickstrap.agent.target import Target

HEAD = "clearpart --all\npart / --size=100\nliveimg --url=file:///run/kickstrap/payload\n"


def made(line: str) -> Firewall:
    return plan.make(kickstart.read(HEAD + line + "\n")).firewall


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return Target(tmp_path, CommandRunner(lambda _: None, tmp_path))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", Firewall()),
        ("firewall --use-system-defaults", Firewall()),
        ("firewall --disabled", Firewall(False)),
        ("firewall --enabled", Firewall(True)),
        ("firewall --enabled --ssh --http --service=https", Firewall(True, ("ssh", "http", "https"))),
        ("firewall --service=ssh,nfs --remove-service=ssh", Firewall(True, ("nfs",))),
        ("firewall --port=8080:tcp,53:udp,imap:tcp,7001-7005:tcp,90",
            Firewall(True, (), ("8080/tcp", "53/udp", "143/tcp", "7001-7005/tcp", "90/tcp"))),
        ("firewall --enabled --trust=eth1 --trust=eth2", Firewall(True, trusted=("eth1", "eth2"))),
    ],
)  # fmt: skip
def test_what_is_opened(line: str, expected: Firewall) -> None:
    assert made(line) == expected


def test_rules_of_nftables(target: Target) -> None:
    wanted = made("firewall --service=ssh,dns --port=8080:tcp --trust=eth1")
    assert firewall.configure(target, wanted, ["nftables", "ufw"]) == ServiceChanges(("nftables",))
    text = target.read("/etc/nftables.conf")
    assert text.startswith("#!/usr/sbin/nft -f\n\nflush ruleset\n")
    assert (
        'iifname { "eth1" } accept\n        tcp dport { 22, 53, 8080 } accept\n        udp dport { 53 } accept\n'
        in text
    )
    assert text.count("policy drop") == 2
    assert text.count("{") == text.count("}")


def test_ssh_is_open_only_if_asked_for() -> None:
    assert "22" not in firewall.rules(made("firewall --enabled"))
    assert "tcp dport { 22 } accept" in firewall.rules(made("firewall --enabled --ssh"))


def test_zones_of_firewalld(target: Target) -> None:
    wanted = made("firewall --service=ssh --port=8080:tcp --trust=eth1")
    assert firewall.configure(target, wanted, ["firewalld", "nftables"]) == ServiceChanges(("firewalld",))
    public = ET.fromstring(target.read("/etc/firewalld/zones/public.xml"))
    assert [(one.tag, one.attrib) for one in public] == [
        ("short", {}),
        ("service", {"name": "ssh"}),
        ("port", {"port": "8080", "protocol": "tcp"}),
    ]
    trusted = ET.fromstring(target.read("/etc/firewalld/zones/trusted.xml"))
    assert trusted.attrib == {"target": "ACCEPT"}
    assert [one.attrib for one in trusted.findall("interface")] == [{"name": "eth1"}]
    assert not target.has("/etc/nftables.conf")


def test_a_guest_that_asks_for_a_firewall_has_one(target: Target) -> None:
    with pytest.raises(InstallError, match="needs a firewall in the target: add nftables"):
        firewall.configure(target, Firewall(True), [])
    assert firewall.configure(target, Firewall(False), []) == ServiceChanges()
    assert firewall.configure(target, Firewall(False), ["ufw", "nftables"]) == ServiceChanges((), ("ufw", "nftables"))
    assert firewall.configure(target, Firewall(), ["nftables"]) == ServiceChanges()
    assert firewall.configure(target, Firewall(True, ("ssh",)), ["ufw"]) == ServiceChanges(("ufw",))


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        (
            "firewall --service=httpx",
            "the ports of the service 'httpx' are not known to kickstrap",
            "did you mean http",
        ),
        ("firewall --service=zzz", "the ports of the service 'zzz' are not known to kickstrap", "write --port"),
        ("firewall --port=x:tcp", "--port=x/tcp is not a port", "write it as 80:tcp"),
        ("firewall --trust='a b'", "--trust=a b is not the name of an interface", ""),
    ],
)
def test_values_that_are_refused(line: str, message: str, hint: str) -> None:
    text = HEAD + line + "\n"
    (found,) = supported.check(kickstart.parse(text), text)
    assert found.message == f"firewall: {message}".replace("x/tcp", "x:tcp")
    assert (found.line, (found.hint or "").startswith(hint)) == (4, True)


def test_the_table_of_services() -> None:
    known = firewall.services()
    assert (known["ssh"], known["samba"]) == ("22/tcp", "139/tcp 445/tcp 138/udp 137/udp")
    for ports in known.values():
        assert all(re.fullmatch(r"\d+(-\d+)?/(tcp|udp|sctp|dccp)", port) for port in ports.split())
