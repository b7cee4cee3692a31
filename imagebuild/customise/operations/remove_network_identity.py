"""Remove UUIDs and hardware addresses from the network configuration.

So that a clone does not look for the network card of the machine the image was made on, nor tell
a DHCP server that it is that machine:

- ``UUID``, ``HWADDR`` and ``MACADDR`` in ``ifcfg-*`` files;
- ``uuid``, ``mac-address`` and ``cloned-mac-address`` in NetworkManager's keyfiles. A UUID that another
  keyfile refers to stays, and so do words like ``random`` and ``stable`` in place of an address.
  NetworkManager derives a missing UUID from the file's name;
- ``hwaddress`` in ``/etc/network/interfaces`` and ``interfaces.d``;
- leases and identifiers that DHCP clients and NetworkManager keep.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from imagebuild.customise.operation import NoParams, Phase

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.SCRUB
Params = NoParams

_IFCFG = "/etc/sysconfig/network-scripts/ifcfg-*"
_KEYFILES = "/etc/NetworkManager/system-connections/*"
_INTERFACES = ("/etc/network/interfaces", "/etc/network/interfaces.d/*")
_STATE = (
    "/var/lib/dhcp/*.leases",
    "/var/lib/dhcp/*.leases~",
    "/var/lib/dhclient/*.lease*",
    "/var/lib/dhcpcd/*.lease*",
    "/var/lib/dhcpcd/duid",
    "/var/lib/dhcpcd/secret",
    "/var/lib/NetworkManager/*.lease",
    "/var/lib/NetworkManager/secret_key",
    "/var/lib/NetworkManager/seen-bssids",
    "/var/lib/NetworkManager/timestamps",
)
_ADDRESS = r"[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5,}"
_IFCFG_LINE = re.compile(r"^[ \t]*(UUID|HWADDR|MACADDR)=.*\n?", re.MULTILINE)
_INTERFACES_LINE = re.compile(r"^[ \t]*hwaddress[ \t].*\n?", re.MULTILINE)
_KEYFILE_ADDRESS = re.compile(rf"^(cloned-)?mac-address=[ \t]*{_ADDRESS}[ \t]*\n?", re.MULTILINE)
_KEYFILE_UUID = re.compile(r"^uuid=[ \t]*(\S+)[ \t]*\n?", re.MULTILINE)


def apply(guest: Guest, params: NoParams) -> None:
    what = "removed UUID and hardware address"
    for path in _files(guest, _IFCFG):
        guest.edit(path, lambda text: _IFCFG_LINE.sub("", text), what)
    for path in _files(guest, *_INTERFACES):
        guest.edit(path, lambda text: _INTERFACES_LINE.sub("", text), "removed hardware address")
    keyfiles = {path: guest.read(path) for path in _files(guest, _KEYFILES)}
    for path in keyfiles:
        others = "\n".join(text for other, text in keyfiles.items() if other != path)
        guest.edit(path, partial(_without_identity, others=others), what)
    guest.remove(guest.glob(*_STATE))


def _files(guest: Guest, *patterns: str) -> list[str]:
    return [path for path in guest.glob(*patterns) if guest.real_file(path)]


def _without_identity(keyfile: str, others: str) -> str:
    uuid = _KEYFILE_UUID.search(keyfile)
    if uuid and not re.search(rf"=.*{re.escape(uuid[1])}", others):
        keyfile = _KEYFILE_UUID.sub("", keyfile)
    return _KEYFILE_ADDRESS.sub("", keyfile)
