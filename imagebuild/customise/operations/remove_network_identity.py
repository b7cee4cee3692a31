"""Remove UUIDs and hardware addresses from the network configuration.

A clone then does not look for the network card of the machine that the image was built on, does not
identify itself to a DHCP server as that machine, and still finds its own card. The operation
changes:

- netplan files: ``macaddress`` is removed. A card that was matched only by its address is matched
  by its name instead, or any card is matched (``match: {name: "e*"}``) if the name is assigned by
  the file itself; bonds, bridges and VLANs are adapted;
- NetworkManager connections: UUIDs, hardware addresses and DHCP client identifiers are removed.
  NetworkManager derives a missing UUID from the name of the file. A connection that refers to
  another one by its UUID refers to its interface instead; if that has no interface, both keep the
  UUID. Words such as ``random`` and ``stable`` stay;
- ``ifcfg-*``: the same, plus ``HWADDR``, ``MACADDR``, SUSE's ``LLADDR``, and ``MASTER_UUID`` and
  the like, in any spelling that the shell accepts;
- ``/etc/network/interfaces``: ``hwaddress`` and ``client``, and patterns and commands that contain
  an address;
- systemd-networkd: ``MACAddress``, ``DUIDRawData`` and ``IAID``. A network that was matched only by
  an address then applies to every Ethernet card. A ``.link`` file for one card is removed if
  nothing uses the name that it assigns, or if cards get that name anyway, and matches any card
  otherwise;
- the configuration of NetworkManager itself, dhclient, dhcpcd and wicked; ``ifname=`` and
  ``BOOTIF=`` on kernel command lines, and a NoCloud seed there that was served by an image builder;
- the leases and identifiers stored by DHCP clients, NetworkManager, systemd-networkd, wicked and
  ConnMan, the addresses that avahi-autoipd assigned to cards, and the records of arpwatch and
  vnStat about them.

Files that cannot be parsed are left unchanged and reported, and so are cards that can be told apart
only by their addresses.
"""

from __future__ import annotations

import posixpath
import re
from functools import partial
from typing import TYPE_CHECKING

from imagebuild.customise.network import (
    config_files,
    dhcp_clients,
    ifcfg,
    interfaces,
    kernel_lines,
    keyfiles,
    netplan,
    networkd,
)
from imagebuild.customise.operation import NoParams, Phase

if TYPE_CHECKING:
    from collections.abc import Callable

    from imagebuild.customise.guest import Guest
    from imagebuild.customise.network import Edited

PHASE = Phase.SCRUB
CARRIES = "identity"
REPLACES = ("dhcp-client-state", "net-hwaddr", "net-nmconn")
Params = NoParams

_ADDRESS = "removed hardware address"
_UUID = "removed UUID and hardware address"
_DHCP = "removed the DHCP client's identity"
_STATE = (
    "/var/lib/dhcp/*.leases",
    "/var/lib/dhcp/*.leases~",
    "/var/lib/dhcp/dhclient*",
    "/var/lib/dhcp3/dhclient*",
    "/var/lib/dhclient/*",
    "/var/lib/dhcpcd/*.lease*",
    "/var/lib/dhcpcd/*/*.lease*",
    "/var/lib/dhcpcd/duid",
    "/var/lib/dhcpcd/secret",
    "/var/lib/dhcpcd/rdm_monotonic",
    "/var/lib/NetworkManager/*.lease",
    "/var/lib/NetworkManager/*.lease6",
    "/var/lib/NetworkManager/secret_key",
    "/var/lib/NetworkManager/seen-bssids",
    "/var/lib/NetworkManager/timestamps",
    "/var/lib/NetworkManager/no-auto-default.state",
    "/var/lib/NetworkManager/*-lock.json",
    "/var/lib/NetworkManager/dhclient*.conf",
    "/var/lib/avahi-autoipd/*",
    "/var/lib/arpwatch/*.dat",
    "/var/lib/vnstat/*",
    "/var/lib/miniupnpd/upnp.leases",
    "/etc/resolv.conf.dhclient-new.*",
    "/var/lib/dhcpcd5/*.lease*",
    "/var/lib/dhcpcd5/duid",
    "/var/lib/dhcpcd5/secret",
    "/var/db/dhcpcd/*.lease*",
    "/var/db/dhcpcd/duid",
    "/var/db/dhcpcd/secret",
    "/etc/dhcpcd.duid",
    "/etc/dhcpcd.secret",
    "/var/lib/wicked/*.xml",
    "/var/lib/systemd/network/*.lease",
    "/var/lib/dibbler/client-*",
    "/var/lib/connman/ethernet_*",
    "/var/lib/connman/wifi_*",
    "/var/lib/udhcpc/*",
    "/run/systemd/netif/leases/*",
    "/run/NetworkManager/devices/*",
    "/etc/iftab",
    "/etc/mactab",
)


def apply(guest: Guest, params: NoParams) -> None:
    lines = kernel_lines.read(guest)
    kernel_names = kernel_lines.keeps_kernel_names(guest, lines)
    files = config_files.netplan(guest)
    _edit(guest, netplan.without_addresses(files, kernel_names=kernel_names), _ADDRESS)
    for path in files:
        _rename_without_uuid(guest, path)
    _edit(
        guest,
        netplan.without_addresses(config_files.texts(guest, *config_files.CLOUD_INIT), kernel_names=kernel_names),
        _ADDRESS,
    )
    _connections(guest, kernel_names=kernel_names)
    _edit(guest, interfaces.without_identity(config_files.interfaces(guest)), _ADDRESS)
    _networkd(guest, kernel_names=kernel_names)
    _each(guest, config_files.MANAGER, keyfiles.configuration_without_addresses, _ADDRESS)
    _each(guest, config_files.DHCLIENT, dhcp_clients.dhclient_without_identity, _DHCP)
    _each(guest, config_files.DHCPCD, dhcp_clients.dhcpcd_without_identity, _DHCP)
    _each(guest, ("/etc/conf.d/net", "/etc/conf.d/net.*"), ifcfg.netifrc_without_addresses, _ADDRESS)
    _each(guest, config_files.SUSE_DHCP, ifcfg.settings_without_identity, _DHCP)
    kernel_lines.remove_identity(guest, lines)
    guest.remove(guest.sweep(*_STATE))


def _connections(guest: Guest, *, kernel_names: bool) -> None:
    """Keyfiles and ifcfg files, which refer to each other by UUID."""
    keys, shell = config_files.texts(guest, *config_files.KEYFILES), config_files.texts(guest, *config_files.IFCFG)
    found = keyfiles.interfaces_by_uuid(keys) | ifcfg.interfaces_by_uuid(shell)
    named = keyfiles.uuids_that_stay(keys, found) | ifcfg.uuids_that_stay(shell, found)
    managed = any(guest.exists(path) for path in ("/usr/sbin/NetworkManager", "/usr/bin/NetworkManager"))
    _edit(guest, keyfiles.without_identity(keys, found, named), _UUID)
    _edit(guest, ifcfg.without_identity(shell, found, named, kernel_names=kernel_names, any_card=managed), _UUID)
    for path in keys:
        _rename_without_uuid(guest, path)


def _rename_without_uuid(guest: Guest, path: str) -> None:
    """Rename a connection's file if its name contains a UUID. NetworkManager names files so if two
    connections have the same name."""
    name = posixpath.basename(path)
    new = re.sub(r"-?[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}", "", name)
    target = posixpath.join(posixpath.dirname(path), new)
    if new not in (name, "") and not new.startswith(".") and not guest.exists(target):
        guest.rename(path, target)


def _networkd(guest: Guest, *, kernel_names: bool) -> None:
    files = config_files.texts(guest, *config_files.NETWORKD)
    in_use = config_files.names_in_use(guest)
    edited = networkd.without_identity(files, kernel_names=kernel_names, is_used=in_use)
    gone = [path for path, text in edited.texts.items() if not text and files[path]]
    guest.remove(gone, "removed a card's name")
    _edit(guest, edited, _ADDRESS)


def _each(guest: Guest, patterns: tuple[str, ...], change: Callable[[str], str], what: str) -> None:
    for path in config_files.texts(guest, *patterns):
        guest.edit(path, change, what)


def _edit(guest: Guest, edited: Edited, what: str) -> None:
    for path in edited.texts:
        if guest.real_file(path):
            guest.edit(path, partial(_text, edited, path), what)
    for path, why in edited.problems:
        guest.not_done(path, why)


def _text(edited: Edited, path: str, _: str) -> str:
    return edited.texts[path]
