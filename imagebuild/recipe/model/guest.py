"""The guest: its operating system, language and network."""

from __future__ import annotations

import re
from ipaddress import IPv4Interface, IPv4Network
from typing import Literal, Self

from pydantic import Field, model_validator

from imagebuild.schema import fields as f
from imagebuild.schema.findings import Finding, Refused
from imagebuild.schema.section import Section


class Os(Section):
    """The operating system to install."""

    family: Literal["debian", "redhat"] = Field(
        description="Family; determines installer, package names and operations."
    )
    distribution: Literal["debian", "fedora", "centos", "centos-stream", "rocky", "almalinux", "rhel"] | None = Field(
        None, description="Distribution; determines the kickstart syntax and the names of the install sources."
    )
    version: f.Version = Field(description="Release number of the distribution: `13`.")
    codename: f.Codename | None = Field(
        None, description="Name of the suite, `trixie`. Required for the Debian family."
    )
    arch: Literal["x86_64", "aarch64"] = Field("x86_64", description="Architecture.")
    osinfo: f.Osinfo | None = Field(
        None, description="Short id of libosinfo, `debian13`. Default: detected by virt-install."
    )

    @model_validator(mode="after")
    def _codename(self) -> Self:
        if self.family == "debian" and self.codename is None:
            raise Refused([Finding((), "the key 'codename' is missing; the Debian family needs it, such as trixie")])
        if self.distribution is not None and (self.distribution == "debian") != (self.family == "debian"):
            raise Refused([Finding(("distribution",), f"{self.distribution} is not of the family {self.family}")])
        return self

    @property
    def major(self) -> int:
        """The first number of the version; 0 if it does not begin with a number."""
        return int(re.match(r"[0-9]*", self.version)[0] or 0)  # type: ignore[index]  # it always matches


class Locale(Section):
    """Language, keyboard and time zone of the guest."""

    language: f.Language = Field("C.UTF-8", description="Locale.")
    keyboard: f.Keyboard = Field("us", description="Keyboard layout.")
    timezone: f.Timezone = Field("UTC", description="Time zone; the hardware clock always runs in UTC.")


class Network(Section):
    """The guest's network."""

    hostname: f.HostName = Field("localhost", description="Host name in the template.")
    device: f.DeviceName = Field("eth0", description="Interface.")
    bootproto: Literal["dhcp", "static"] = Field("dhcp", description="How the interface gets its address.")
    address: f.Ipv4 | None = Field(None, description="Static: IPv4 address.")
    netmask: f.Netmask | None = Field(None, description="Static: netmask, `255.255.255.0`.")
    gateway: f.Ipv4 | None = Field(None, description="Static: default gateway.")
    nameservers: tuple[f.AnyIp, ...] = Field((), description="Static: name servers.")

    @property
    def prefix(self) -> int | None:
        """The netmask as a prefix length; None without a netmask."""
        return None if self.netmask is None else IPv4Network(f"0.0.0.0/{self.netmask}").prefixlen

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        wrong = list(self._static_findings() if self.bootproto == "static" else self._dhcp_findings())
        if wrong:
            raise Refused(wrong)
        return self

    def _dhcp_findings(self) -> list[Finding]:
        given = [key for key in ("address", "netmask", "gateway", "nameservers") if getattr(self, key)]
        hint = "set bootproto: static, or remove the key"
        return [Finding((key,), "this key is not allowed with bootproto: dhcp", hint, at_key=True) for key in given]

    def _static_findings(self) -> list[Finding]:
        if self.address is None or self.netmask is None:
            absent = [key for key in ("address", "netmask") if getattr(self, key) is None]
            return [Finding(("bootproto",), f"a static network needs {' and '.join(absent)}")]
        interface = IPv4Interface(f"{self.address}/{self.netmask}")
        network = interface.network
        ends = (network.network_address, network.broadcast_address) if network.prefixlen < 31 else ()
        if self.address in ends or self.address.is_multicast or self.address.is_loopback or self.address.is_unspecified:
            return [Finding(("address",), f"{self.address} cannot be the address of a host in {network}")]
        if self.gateway is not None and (self.gateway not in network or self.gateway == self.address):
            return [Finding(("gateway",), f"the gateway {self.gateway} is not another host in {network}")]
        return []
