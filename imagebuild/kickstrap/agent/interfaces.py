"""The network of a kickstart as plain values: its cards, bonds, bridges and VLANs. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

ANY = ""
"""The device of an interface that is the guest's first card, whatever its name."""
FIRST_CARD = frozenset({"link", "bootif", "ibft"})
"""Anaconda's names for it."""


class Interface(NamedTuple):
    """A network interface. ``device`` may be ``ANY``.

    ``address`` and ``netmask`` are empty for DHCP. ``ipv6`` is ``auto``, ``dhcp``, an address with
    its prefix length, or empty for the default of the guest. ``kind`` is ethernet, bond, bridge or
    vlan; ``ports`` are the members of a bond or bridge, ``options`` its settings; ``parent`` and
    ``vlan`` are a VLAN's. A bond in a bridge has that as its ``master`` of ``master_kind``, and no
    addresses.
    """

    device: str
    address: str = ""
    netmask: str = ""
    gateway: str = ""
    nameservers: tuple[str, ...] = ()
    onboot: bool = True
    ipv4: bool = True
    ipv6: str = ""
    gateway6: str = ""
    no_ipv6: bool = False
    mtu: int = 0
    default_route: bool = True
    search: tuple[str, ...] = ()
    kind: str = "ethernet"
    ports: tuple[str, ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    parent: str = ""
    vlan: int = 0
    master: str = ""
    master_kind: str = ""


def only_names_the_host(net: Any) -> bool:
    """Whether a ``network`` line does nothing but name the host, as Anaconda understands it."""
    given = (net.device, net.ip, net.gateway, net.nameserver, net.mtu, net.ipv6, net.bondslaves, net.bridgeslaves)
    return bool(net.hostname) and not any(given) and net.bootProto == "dhcp" and not (net.activate or net.noipv6)


def make(networks: list[Any]) -> tuple[Interface, ...]:
    """The interfaces of all ``network`` lines, those that others consist of first.

    A line that describes a member of a bond or bridge is not an interface itself.
    """
    made: dict[str, Interface] = {}
    for net in networks:
        if not only_names_the_host(net):
            made.update((one.device, one) for one in _of_line(net))
    masters = {port: one for one in made.values() for port in one.ports}
    made = {name: _member(one, masters.get(name)) for name, one in made.items()}
    order = ("ethernet", "bond", "bridge", "vlan")
    found = [one for one in made.values() if one.kind != "ethernet" or not one.master]
    return tuple(sorted(found, key=lambda one: order.index(one.kind)))


def _member(one: Interface, master: Interface | None) -> Interface:
    """An interface as a member of a bond or bridge."""
    if master is None:
        return one
    return Interface(
        one.device, onboot=one.onboot, ipv4=False, no_ipv6=True, mtu=one.mtu, kind=one.kind, ports=one.ports,
        options=one.options, parent=one.parent, vlan=one.vlan, master=master.device, master_kind=master.kind,
    )  # fmt: skip


def _of_line(net: Any) -> Iterator[Interface]:
    device = ANY if net.device in FIRST_CARD else net.device
    addressed = _addressed(net, device)
    if net.bondslaves:
        addressed = addressed._replace(kind="bond", ports=_words(net.bondslaves), options=pairs(net.bondopts))
    elif net.bridgeslaves:
        addressed = addressed._replace(kind="bridge", ports=_words(net.bridgeslaves), options=pairs(net.bridgeopts))
    if not net.vlanid:
        yield addressed
        return
    vlan = int(net.vlanid)
    name = net.interfacename or f"{device}.{vlan}"
    if addressed.ports:
        yield Interface(
            device, ipv4=False, no_ipv6=True, kind=addressed.kind, ports=addressed.ports, options=addressed.options
        )
    yield addressed._replace(device=name, kind="vlan", parent=device, vlan=vlan, ports=(), options=())


def _addressed(net: Any, device: str) -> Interface:
    static = net.bootProto == "static" or bool(net.ip)
    return Interface(
        device=device,
        address=net.ip if static else "",
        netmask=net.netmask if static else "",
        gateway=(net.gateway or "") if static else "",
        nameservers=_words(net.nameserver),
        onboot=net.onboot is not False,
        ipv4=not net.noipv4 and not (net.bootProto == "static" and not net.ip),
        ipv6="" if net.noipv6 else net.ipv6 or "",
        gateway6=net.ipv6gateway or "",
        no_ipv6=bool(net.noipv6),
        mtu=int(net.mtu) if str(net.mtu or "").isdecimal() else 0,
        default_route=not net.nodefroute,
        search=(*_words(net.ipv4_dns_search), *_words(net.ipv6_dns_search)),
    )


def pairs(text: str | None) -> tuple[tuple[str, str], ...]:
    """The options of a bond or bridge: ``mode=active-backup,miimon=100``; some files separate them
    by semicolons, because a value may contain commas.
    """
    words = re.split(r"[;,]" if ";" not in (text or "") else ";", text or "")
    found = (word.strip().partition("=") for word in words if word.strip())
    return tuple((name, value) for name, _, value in found)


def _words(value: str | None) -> tuple[str, ...]:
    return tuple(word.strip() for word in (value or "").split(",") if word.strip())
