"""Set up cloud-init for the clones.

Writes ``/etc/cloud/cloud.cfg.d/90_imagebuild.cfg``: the data sources, whether the root file system
grows, and that ``/etc/hosts`` gets the name of the clone, without which sudo on Debian warns that it
cannot resolve it. cloud-init must be installed.

With ``network: true``, the network of a clone is cloud-init's. The configuration of ``device`` that
the installation wrote is removed from ``/etc/network/interfaces``, NetworkManager's connections and
the ifcfg files: cloud-init adds files and removes none, and two configurations of one card
conflict. A clone without a data source, where cloud-init does not run, still gets an address by
DHCP: NetworkManager does that by itself; for ifupdown, ``/etc/network/interfaces.d/50-cloud-init``,
the file that cloud-init replaces, says so. Other configuration is left alone.

With ``network: false``, cloud-init leaves the network as it is.

The recipe's section `cloud_init` adds this operation.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pydantic import Field

from imagebuild.customise.network import cloud_init
from imagebuild.customise.operation import Params as BaseParams
from imagebuild.customise.operation import Phase
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CUSTOMISE
_OWN = "/etc/cloud/cloud.cfg.d/90_imagebuild.cfg"
_INTERFACES = "/etc/network/interfaces"
_INCLUDE = "source /etc/network/interfaces.d/*\n"
_STANZA = re.compile(r"(?:iface|auto|allow-\S+|mapping|source|source-directory|rename|template|no-\S+)(?:\s|$)")
"""Words that begin a stanza, which ends the one before: interfaces(5)."""


class Params(BaseParams):
    datasources: tuple[str, ...] = Field(
        default=cloud_init.DATASOURCES,
        min_length=1,
        description="where a clone finds its metadata, in this order; `None` is added as the last one",
    )
    growpart: bool = Field(default=True, description="grow the root partition and its file system at boot")
    network: bool = Field(default=True, description="cloud-init configures the network")
    device: str = Field(
        default="eth0",
        pattern=r"^[A-Za-z0-9_.-]{1,15}$",
        description="the interface that the installation configured",
    )


def apply(guest: Guest, params: Params) -> None:
    if not cloud_init.is_there(guest):
        raise GuestError(
            "cloud-init is not installed in the guest",
            "add the package cloud-init; the recipe's section cloud_init does that",
        )
    guest.create(_OWN, configuration(params))
    if params.network:
        _leave_network(guest, params.device)


def configuration(params: Params) -> str:
    """The text of the file. The data sources are on one line: ds-identify reads no other form."""
    sources = [*(name for name in params.datasources if name != "None"), "None"]
    lines = ["# Written by imagebuild. Files with later names take precedence."]
    lines.append(f"datasource_list: [ {', '.join(sources)} ]")
    lines.append("manage_etc_hosts: localhost")
    if params.growpart:
        lines += ["growpart: {mode: auto, devices: [/]}", "resize_rootfs: true"]
    else:
        lines += ['growpart: {mode: "off"}', "resize_rootfs: false"]
    if not params.network:
        lines.append("network: {config: disabled}")
    return "\n".join(lines) + "\n"


def without_device(text: str, device: str) -> str:
    """interfaces(5) without the stanzas of ``device``, and with an include of interfaces.d."""
    kept: list[str] = []
    inside = False
    for line in text.splitlines(keepends=True):
        words = line.split()
        if words and _STANZA.match(line.lstrip()):
            inside = words[0] in ("iface", "mapping") and words[1:2] == [device]
            if not inside and words[0].startswith(("auto", "allow-")) and device in words[1:]:
                others = [word for word in words[1:] if word != device]
                if others:
                    kept.append(f"{words[0]} {' '.join(others)}\n")
                continue
        if not inside:
            kept.append(line)
    found = any(re.match(r"\s*source(-directory)?\s+(/etc/network/)?interfaces\.d", line) for line in kept)
    return "".join(kept if found else [_INCLUDE, *kept]).rstrip("\n") + "\n"


def _leave_network(guest: Guest, device: str) -> None:
    guest.remove(
        guest.glob(
            f"/etc/NetworkManager/system-connections/{device}.nmconnection",
            f"/etc/sysconfig/network-scripts/ifcfg-{device}",
        ),
        "removed: the network is cloud-init's",
    )
    if guest.real_file(_INTERFACES):
        guest.edit(_INTERFACES, lambda text: without_device(text, device), f"without {device}, which is cloud-init's")
        guest.create(cloud_init.IFUPDOWN, f"{cloud_init.FALLBACK}\nauto {device}\niface {device} inet dhcp\n")
