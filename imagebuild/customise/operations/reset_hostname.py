"""Replace the guest's hostname with a neutral one.

The default is ``localhost``, so that a clone accepts the name given to it by DHCP, by cloud-init or
by its administrator. Changes ``/etc/hostname`` (``/etc/HOSTNAME`` on SUSE), ``HOSTNAME`` in
``/etc/sysconfig/network``, ``hostname`` in ``/etc/conf.d/hostname``, and ``/etc/mailname``. If one
of these is a link to a file of a different kind, it is replaced by a file, and the target of the
link stays unchanged. Then the old name is removed, with and without its domain, from:

- all lines of ``/etc/hosts``, and the pretty name from ``/etc/machine-info``;
- the names sent by DHCP clients: ifcfg files, NetworkManager connections, netplan,
  systemd-networkd, ``/etc/network/interfaces``, dhclient, dhcpcd;
- the configuration of programs that use the machine's name by default: Postfix, exim4, Samba,
  snmpd, CUPS, rsyslog, sssd and others;
- ``mdadm.conf``, if a UUID identifies the array without it, and ``systemd.hostname=`` on kernel
  command lines.

A guest that has no hostname, or is called localhost, has no name to remove.
"""

from __future__ import annotations

import posixpath
import re
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, StringConstraints

from imagebuild.customise.linux import host_names, kernel_cmdline
from imagebuild.customise.linux.host_names import NO_NAMES, Names, first_name
from imagebuild.customise.network import config_files, dhcp_clients, interfaces, kernel_lines, netplan, shell_words
from imagebuild.customise.operation import Params as BaseParams
from imagebuild.customise.operation import Phase

if TYPE_CHECKING:
    from collections.abc import Callable

    from imagebuild.customise.guest import Guest

PHASE = Phase.SCRUB
CARRIES = "identity"
REPLACES = ("net-hostname",)

Hostname = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9-]{0,62})(\.[A-Za-z0-9]([A-Za-z0-9-]{0,62}))*$", max_length=253),
]


class Params(BaseParams):
    hostname: Hostname = Field(default="localhost", description="the new hostname")


_MAIL_NAME = "/etc/mailname"
_FILES = ("/etc/hostname", "/etc/HOSTNAME", _MAIL_NAME)
_SETTINGS = {"/etc/sysconfig/network": "HOSTNAME", "/etc/conf.d/hostname": "hostname"}
_SENT = {"DHCP_HOSTNAME", "DHCP_FQDN", "DHCPV6_HOSTNAME", "DHCPv6_HOSTNAME", "HOSTNAME"}
_SENT_BY_SUSE = {"DHCLIENT_HOSTNAME_OPTION", "DHCLIENT6_HOSTNAME_OPTION"}
"""``AUTO`` in these keys sends the current hostname (/etc/sysconfig/network/dhcp)."""
_FOR_DHCP = "removed the hostname for DHCP"
_OLD = "removed the old hostname"


def apply(guest: Guest, params: Params) -> None:
    old = Names.of(_found(guest) - {params.hostname})
    what = f"hostname {params.hostname}"
    for path in _FILES:
        _set_file(guest, path, old, params.hostname, what)
    for path, key in _SETTINGS.items():
        if guest.real_file(path):
            values = {one.value for one in shell_words.assignments(guest.read(path)) if one.name == key}
            with nullcontext() if values - NO_NAMES else guest.tidying():
                guest.edit(path, partial(_set, key=key, name=params.hostname), what)
    _not_sent(guest)
    for path in guest.real_files("/etc/machine-info"):
        guest.edit(path, _without_pretty_name, "removed the pretty hostname")
    if old.all:
        for path in guest.real_files("/etc/hosts"):
            guest.edit(path, partial(host_names.hosts, names=old), _OLD)
        for pattern, change in host_names.FILES.items():
            for path in config_files.texts(guest, pattern):
                guest.edit(path, partial(_changed, change, old), _OLD)
    if kernel_lines.read(guest).values("systemd.hostname"):
        kernel_cmdline.remove_argument(guest, "systemd.hostname")


def _changed(change: Callable[[str, Names], str], names: Names, text: str) -> str:
    return change(text, names)


def _found(guest: Guest) -> set[str]:
    """The names that the guest uses so far."""
    names = {first_name(guest.read(path)) for path in _FILES if path != _MAIL_NAME and guest.real_file(path)}
    for path, key in _SETTINGS.items():
        if guest.real_file(path):
            names |= {one.value for one in shell_words.assignments(guest.read(path)) if one.name == key}
    names -= NO_NAMES
    # The name with its domain is often found only in /etc/hosts.
    short = {name.partition(".")[0].lower() for name in names}
    text = guest.read("/etc/hosts") if guest.real_file("/etc/hosts") else ""
    for line in text.splitlines():
        words = line.partition("#")[0].lower().split()
        if words and (short & set(words[1:]) or words[0].startswith("127.")):
            names |= {word for word in words[1:] if word.partition(".")[0] in short}
    mail = first_name(guest.read(_MAIL_NAME)) if guest.real_file(_MAIL_NAME) else ""
    return names | ({mail} if mail.partition(".")[0].lower() in short else set())


def _set_file(guest: Guest, path: str, old: Names, name: str, what: str) -> None:
    """Make a regular file contain the name, even if the path was a link."""
    real = guest.real_file(path)
    if real is None:
        return
    is_its_own = real == path or posixpath.basename(real).lower() in ("hostname", "mailname")
    there = first_name(guest.read(real)) if is_its_own else ""
    if path == _MAIL_NAME and there not in old:
        return
    if not is_its_own:
        guest.create(path, f"{name}\n", what=f"{what}: it was a link to {guest.readlink(path)}")
    elif guest.read(real).strip() and not (there == name or (there.lower() in NO_NAMES and there and name in NO_NAMES)):
        # "localhost" in another spelling does not identify a machine.
        with nullcontext() if there in old else guest.tidying():
            guest.edit(path, lambda _: f"{name}\n", what)


def _set(text: str, *, key: str, name: str) -> str:
    """Set an existing variable to the name, unless its value is neutral already."""

    def change(variable: str, value: str) -> tuple[str, str]:
        nothing = value in NO_NAMES and name in NO_NAMES
        return variable, value if variable != key or nothing else name

    return shell_words.edit(text, change)


def _without_pretty_name(text: str) -> str:
    return shell_words.edit(text, lambda name, value: None if name == "PRETTY_HOSTNAME" else (name, value))


def _not_sent(guest: Guest) -> None:
    """Stop DHCP clients from sending a name that is set in their configuration."""
    for path in config_files.texts(guest, *config_files.IFCFG, *config_files.SUSE_DHCP):
        guest.edit(path, _ifcfg, _FOR_DHCP)
    for path in config_files.texts(guest, *config_files.KEYFILES):
        guest.edit(path, host_names.keyfile, _FOR_DHCP)
    for path in config_files.texts(guest, *config_files.NETWORKD):
        guest.edit(path, host_names.networkd, _FOR_DHCP)
    for path in config_files.texts(guest, *config_files.INTERFACES):
        guest.edit(path, interfaces.without_hostnames, _FOR_DHCP)
    for path in config_files.texts(guest, *config_files.NETPLAN, *config_files.CLOUD_INIT):
        guest.edit(path, netplan.without_hostnames, _FOR_DHCP)
    for path in config_files.texts(guest, *config_files.DHCLIENT):
        guest.edit(path, partial(dhcp_clients.dhclient_without_identity, names=True), _FOR_DHCP)
    for path in config_files.texts(guest, *config_files.DHCPCD):
        guest.edit(path, dhcp_clients.dhcpcd_without_hostname, _FOR_DHCP)


def _ifcfg(text: str) -> str:
    def change(name: str, value: str) -> tuple[str, str] | None:
        if name in _SENT_BY_SUSE and value and value.upper() != "AUTO":
            return name, "AUTO"
        computed = re.match(r"[$`]", value) is not None
        return None if name in _SENT and not computed else (name, value)

    return shell_words.edit(text, change)
