"""The firewall of a kickstart: rules of nftables, or of firewalld where the guest has it.

Everything that comes in is dropped apart from what the kickstart opens, answers, the loopback
interface and what IP itself needs. Unlike Anaconda, kickstrap opens SSH only if it is asked to.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from . import data
from .errors import InstallError
from .services import ServiceChanges

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .target import Target


def services() -> dict[str, str]:
    """The ports of firewalld's services, by name."""
    return {name: ports for name, _, ports in (line.partition(" ") for line in data.lines("services.txt"))}


_PORT = re.compile(r"[0-9]{1,5}(-[0-9]{1,5})?/(tcp|udp|sctp|dccp)")
NAMES = ("firewalld", "nftables", "ufw", "netfilter-persistent")
"""Debian's firewalls, each a service; the first one that is installed is configured."""
_NFT = "/etc/nftables.conf"
_ZONES = "/etc/firewalld/zones"


class Firewall(NamedTuple):
    """What comes in: ``ports`` like ``80/tcp`` and ``6000-6010/udp``, ``services`` of firewalld, and
    everything from the ``trusted`` interfaces. With ``enabled`` None the guest's own stays.
    """

    enabled: bool | None = None
    services: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    trusted: tuple[str, ...] = ()


def problems(command: Any) -> Iterator[tuple[int, str, str | None]]:
    """Line, message and hint of each value that is not supported."""
    for name in command.services:
        if name not in services():
            import difflib  # imported late, since the VM hardly ever needs it

            near = difflib.get_close_matches(name, services(), 1)
            hint = f"did you mean {near[0]}? Or write --port=NUMBER:tcp" if near else "write --port=NUMBER:tcp"
            yield command.lineno, f"firewall: the ports of the service {name!r} are not known to kickstrap", hint
    for port in command.ports:
        if not _PORT.fullmatch(normal(port)):
            yield command.lineno, f"firewall: --port={port} is not a port", "write it as 80:tcp or 6000-6010:udp"
    for name in command.trusts:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9._-]{0,14}", name):
            yield command.lineno, f"firewall: --trust={name} is not the name of an interface", None


def make(command: Any) -> Firewall:
    """The firewall of pykickstart's ``command``."""
    if not command.seen or command.use_system_defaults:
        return Firewall()
    removed = set(command.remove_services or ())
    services = tuple(dict.fromkeys(one for one in command.services if one not in removed))
    ports = tuple(dict.fromkeys(normal(port) for port in command.ports))
    return Firewall(command.enabled is not False, services, ports, tuple(dict.fromkeys(command.trusts)))


def normal(port: str) -> str:
    """A port of ``--port`` as number and protocol, which some files separate by a colon. A known
    service may take the place of the number.
    """
    number, _, protocol = port.strip().replace(":", "/").partition("/")
    known = {} if number[:1].isdecimal() else services()
    if number in known:
        number = known[number].partition("/")[0]
    return f"{number}/{protocol or 'tcp'}"


def configure(target: Target, firewall: Firewall, present: Sequence[str]) -> ServiceChanges:
    """Write the rules for the firewall that the guest has, and return the services to be switched.
    ``present`` are those of ``NAMES`` that are installed. Raises InstallError if none is and one is
    wanted.
    """
    if firewall.enabled is None:
        return ServiceChanges()
    if not firewall.enabled:
        if not present:
            target.log("firewall --disabled: nothing to do, this system has none")
        return ServiceChanges(disabled=tuple(present))
    if not present:
        raise InstallError("firewall --enabled needs a firewall in the target: add nftables to %packages")
    if present[0] == "firewalld":
        target.write(f"{_ZONES}/public.xml", zone(firewall))
        if firewall.trusted:
            target.write(f"{_ZONES}/trusted.xml", trusted_zone(firewall))
    elif present[0] == "nftables":
        target.write(_NFT, rules(firewall), mode=0o755)
    else:
        target.log(f"firewall: the rules of {present[0]} stay as they are: only nftables and firewalld are configured")
    return ServiceChanges(enabled=(present[0],))


def rules(firewall: Firewall) -> str:
    """/etc/nftables.conf"""
    known = services() if firewall.services else {}
    opened = [port for service in firewall.services for port in known[service].split()]
    lines = [f"iifname {_quoted(firewall.trusted)} accept"] if firewall.trusted else []
    for protocol in ("tcp", "udp", "sctp", "dccp"):
        ports = [port.partition("/")[0] for port in (*opened, *firewall.ports) if port.endswith(f"/{protocol}")]
        if ports:
            lines.append(f"{protocol} dport {{ {', '.join(dict.fromkeys(ports))} }} accept")
    body = "".join(f"\n        {line}" for line in lines)
    return f"""\
#!/usr/sbin/nft -f

flush ruleset

table inet filter {{
    chain input {{
        type filter hook input priority filter; policy drop;
        ct state invalid drop
        ct state established,related accept
        iifname "lo" accept
        meta l4proto {{ icmp, ipv6-icmp }} accept
        ip6 saddr fe80::/10 udp dport 546 accept{body}
    }}
    chain forward {{
        type filter hook forward priority filter; policy drop;
    }}
    chain output {{
        type filter hook output priority filter; policy accept;
    }}
}}
"""


def _quoted(names: Sequence[str]) -> str:
    return "{ " + ", ".join(f'"{name}"' for name in names) + " }"


def zone(firewall: Firewall) -> str:
    """firewalld's default zone."""
    lines = [f'<service name="{name}"/>' for name in firewall.services]
    lines += ['<port port="{}" protocol="{}"/>'.format(*port.split("/")) for port in firewall.ports]
    return _xml("<zone>", "Public", lines)


def trusted_zone(firewall: Firewall) -> str:
    """firewalld's zone of the interfaces from which everything comes in."""
    return _xml('<zone target="ACCEPT">', "Trusted", [f'<interface name="{name}"/>' for name in firewall.trusted])


def _xml(tag: str, name: str, lines: Sequence[str]) -> str:
    body = "".join(f"  {line}\n" for line in (f"<short>{name}</short>", *lines))
    return f'<?xml version="1.0" encoding="utf-8"?>\n{tag}\n{body}</zone>\n'
