"""Give the guest a hostname that says nothing.

``localhost``, so that a clone takes the name that it is given by DHCP, by cloud-init or by its administrator. Changes
``/etc/hostname`` (``/etc/HOSTNAME`` on SUSE), ``HOSTNAME`` in ``/etc/sysconfig/network``, ``hostname`` in ``/etc/conf.d/hostname`` and
``/etc/mailname``; removes ``DHCP_HOSTNAME`` from the interfaces' files, the pretty name from ``/etc/machine-info`` and the old
name from the loopback lines of ``/etc/hosts``.
"""

from __future__ import annotations

import re
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, StringConstraints

from imagebuild.customise.operation import Params as BaseParams
from imagebuild.customise.operation import Phase

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.SCRUB
CARRIES = "identity"
REPLACES = ("net-hostname",)

Hostname = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9-]{0,62})(\.[A-Za-z0-9]([A-Za-z0-9-]{0,62}))*$", max_length=253),
]


class Params(BaseParams):
    hostname: Hostname = Field(default="localhost", description="the name that the guest has instead")


_FILES = ("/etc/hostname", "/etc/HOSTNAME", "/etc/mailname")
_SETTINGS = {
    "/etc/sysconfig/network": re.compile(r"^([ \t]*HOSTNAME=)(.*)$", re.MULTILINE),
    "/etc/conf.d/hostname": re.compile(r"^([ \t]*hostname=)(.*)$", re.MULTILINE),
}
_INTERFACES = ("/etc/sysconfig/network-scripts/ifcfg-*", "/etc/sysconfig/network/ifcfg-*")
_DHCP_LINE = re.compile(r"^[ \t]*(DHCP_HOSTNAME|DHCP_FQDN|DHCLIENT_HOSTNAME_OPTION)=.*\n?", re.MULTILINE)
_PRETTY_LINE = re.compile(r"^[ \t]*PRETTY_HOSTNAME=.*\n?", re.MULTILINE)


def apply(guest: Guest, params: Params) -> None:
    what = f"hostname {params.hostname}"
    old = _names(guest) - {params.hostname, "localhost", "localhost.localdomain"}
    for path in guest.real_files(*_FILES):
        name = guest.read(path).strip()
        if name != params.hostname and (path != "/etc/mailname" or name in old):
            with nullcontext() if name in old else guest.tidying():
                guest.edit(path, lambda _: params.hostname + "\n", what)
    for path in guest.real_files(*_SETTINGS):
        with nullcontext() if _named(guest, path) & old else guest.tidying():
            guest.edit(path, partial(_SETTINGS[path].sub, rf"\g<1>{params.hostname}"), what)
    for path in guest.real_files(*_INTERFACES):
        guest.edit(path, partial(_DHCP_LINE.sub, ""), "removed the hostname for DHCP")
    for path in guest.real_files("/etc/machine-info"):
        guest.edit(path, partial(_PRETTY_LINE.sub, ""), "removed the pretty hostname")
    for path in guest.real_files("/etc/hosts"):
        guest.edit(path, lambda text: _without(text, old), "removed the old hostname")


def _names(guest: Guest) -> set[str]:
    """What the guest calls itself so far, with and without its domain."""
    found = [guest.read(path).strip() for path in guest.real_files(*_FILES)]
    for path in guest.real_files(*_SETTINGS):
        found += _named(guest, path)
    return {name for whole in found for name in (whole, whole.split(".")[0]) if name}


def _named(guest: Guest, path: str) -> set[str]:
    return {match[2].strip("\"' \t") for match in _SETTINGS[path].finditer(guest.read(path))}


def _without(hosts: str, names: set[str]) -> str:
    """The text of /etc/hosts without ``names`` on loopback lines, which go when no name is left."""
    kept = []
    for line in hosts.split("\n"):
        fields = line.split("#")[0].split()
        if len(fields) > 1 and (fields[0].startswith("127.") or fields[0] == "::1") and names & set(fields[1:]):
            stay = [name for name in fields[1:] if name not in names and name.split(".")[0] not in names]
            if not stay:
                continue
            line = " ".join([fields[0], *stay])
        kept.append(line)
    return "\n".join(kept)
