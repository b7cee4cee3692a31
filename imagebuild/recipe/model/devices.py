"""Network cards and the display of a machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address
from typing import Literal, Self

from pydantic import Field, model_validator

from imagebuild.recipe.model import machine_fields as mf
from imagebuild.schema import fields as f
from imagebuild.schema.findings import Finding, Refused
from imagebuild.schema.section import Section


class NetworkCard(Section):
    """A network card and its connection."""

    type: Literal["user", "nat", "network", "bridge", "none"] = Field(
        description="`user` is QEMU's user network and needs nothing from the host; `nat` is libvirt's network"
        " `default`; `network` is one of libvirt's networks; `bridge` is a bridge of the host; `none`, as the only"
        " card: no network."
    )
    network: mf.NetworkName | None = Field(None, description="Type `network`: name of the network.")
    bridge: f.DeviceName | None = Field(None, description="Type `bridge`: name of the bridge, `br0`.")
    model: Literal["virtio", "e1000e", "e1000", "igb", "rtl8139"] = Field("virtio", description="Model of the card.")
    mac: mf.Mac | None = Field(None, description="MAC address. Default: libvirt generates one for each machine.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        wrong = []
        for key in ("network", "bridge"):
            given = getattr(self, key) is not None
            if given and self.type != key:
                wrong.append(
                    Finding((key,), f"this key is not allowed with type: {self.type}", f"set type: {key}", at_key=True)
                )
            elif self.type == key and not given:
                example = "br0" if key == "bridge" else "default"
                wrong.append(Finding((), f"the key {key!r} is missing; type: {key} needs it, such as {example}"))
        if self.type == "none" and self.mac is not None:
            wrong.append(Finding(("mac",), "with type: none there is no card for this address", at_key=True))
        if wrong:
            raise Refused(wrong)
        return self


def network_findings(cards: Sequence[NetworkCard]) -> Iterator[Finding]:
    """Problems that concern several network cards."""
    for at, card in enumerate(cards):
        if card.type == "none" and len(cards) > 1:
            yield Finding(("networks", at), "type: none means no network, but there are other cards")
        if card.mac is not None and card.mac in [other.mac for other in cards[:at]]:
            yield Finding(
                ("networks", at, "mac"), f"another card has the address {card.mac}", "addresses must be unique"
            )


class Graphics(Section):
    """The display of a machine."""

    type: Literal["none", "vnc", "spice"] = Field(description="Display; with `none` there is only the serial console.")
    listen: mf.Address = Field(
        IPv4Address("127.0.0.1"),
        description="Host address to listen on. 127.0.0.1 can be reached only from the host itself.",
    )
    port: mf.Port = Field(None, description="TCP port on the host. `auto`, the default, selects a free port.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        wrong = []
        if self.type == "none" and self.listen != IPv4Address("127.0.0.1"):
            wrong.append(Finding(("listen",), "this key is not allowed with type: none", at_key=True))
        if self.type == "none" and self.port is not None:
            wrong.append(Finding(("port",), "this key is not allowed with type: none", at_key=True))
        if wrong:
            raise Refused(wrong)
        return self
