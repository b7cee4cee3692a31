"""Two clones of the image share no identity.

Two clones boot side by side, and everything that makes one machine different from another is
compared: machine id, D-Bus id, SSH host keys, random seed, identifiers sent in DHCP requests
(captured on the virtual network), names of iSCSI initiators and NVMe hosts, secrets of
NetworkManager and systemd, the instance of cloud-init, the hostname. Beyond this list, all files
below ``/etc`` and ``/var`` that the clones wrote since they booted are searched for values that
look random and are equal on both. A random seed is used up when a guest boots, so the list of the
image's files shows whether the image has one.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from imagebuild.verify import identities
from imagebuild.verify.check import NotCheckable
from imagebuild.verify.check import Params as BaseParams
from imagebuild.verify.clones import Clones


class Params(BaseParams):
    hostname: str | None = Field(default=None, description="the hostname that all clones have on purpose")
    ignore: tuple[str, ...] = Field(default=(), description="paths whose content may be equal")


def compare(clones: Clones, params: Params) -> Iterator[str]:
    problems = list(identities.shared(clones.first, clones.second, params.hostname))
    problems += [
        f"{path}: the image contains a random seed, with which every clone starts"
        for path in sorted(clones.seeds or ())
    ]
    yield from (one for one in problems if not one.startswith(tuple(f"{path}:" for path in params.ignore)))
    if not problems and not clones.requests_seen:
        raise NotCheckable("no DHCP request of the clones was captured; nothing else is shared")
