"""cloud-init in the image: what it means for packages, operations and the network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from imagebuild.schema import fields as f
from imagebuild.schema.findings import Finding, twice
from imagebuild.schema.section import Section, Short, without_nothing

if TYPE_CHECKING:
    from imagebuild.recipe.model.recipe import Recipe

SET_UP = "set-up-cloud-init"
RESET = "reset-cloud-init"
_GROW = "grow-root-at-first-boot"
_DISABLING = ("cloud-init=disabled", "network-config=disabled")
Datasource = Literal[
    "NoCloud", "ConfigDrive", "OpenStack", "Ec2", "Akamai", "AliYun", "AltCloud", "Azure", "Bigstep", "CloudSigma",
    "CloudStack", "DigitalOcean", "Exoscale", "GCE", "Hetzner", "IBMCloud", "LXD", "MAAS", "NWCS", "OpenNebula", "OVF",
    "Oracle", "RbxCloud", "Scaleway", "SmartOS", "UpCloud", "VMware", "Vultr", "None",
]  # fmt: skip
"""The names that cloud-init's ds-identify knows."""


def _enabled(value: object) -> dict[str, Any] | None:
    if value is None:
        return {"enabled": False}
    if not isinstance(value, bool):
        raise ValueError(f"expected true, false or a mapping of keys, found {f.shown(value)}")
    return {"enabled": value}


class CloudInit(Section):
    """cloud-init, which gives each clone its hostname, keys, network and disk size."""

    enabled: bool = Field(default=True, description="Whether the image has cloud-init.")
    datasources: Annotated[tuple[Datasource, ...], BeforeValidator(without_nothing), Field(min_length=1)] = Field(
        ("NoCloud", "ConfigDrive", "OpenStack", "Ec2"),
        description="Where a clone looks for its metadata, in this order: `NoCloud` (an ISO, as libvirt and Proxmox"
        " give it), `ConfigDrive` (OpenStack, Proxmox), `OpenStack`, `Ec2`, and cloud-init's other names. With only"
        " one, cloud-init runs without looking whether it is there.",
    )
    growpart: bool | None = Field(
        None,
        description="Whether cloud-init grows the root partition and its file system at boot. Default: unless the"
        " operation `grow-root-at-first-boot` does.",
    )
    network: bool = Field(
        default=True, description="Whether cloud-init configures the network; if not, that of `network` stays."
    )


CLOUD_INIT = Short(
    _enabled, f.Kind("`true`, `false`", lambda section: str(section.enabled).lower(), {"type": "boolean"})
)


def packages(recipe: Recipe) -> tuple[str, ...]:
    """The packages that clones need; `sudo` is for the account that cloud-init creates."""
    if not recipe.cloud_init.enabled:
        return ()
    grow = "cloud-guest-utils" if recipe.os.family == "debian" else "cloud-utils-growpart"
    return ("cloud-init", *((grow,) if grows(recipe) else ()), "sudo")


def grows(recipe: Recipe) -> bool:
    """Whether cloud-init grows the root file system."""
    if not recipe.cloud_init.enabled:
        return False
    chosen = recipe.cloud_init.growpart
    return all(call.name != _GROW for call in recipe.operations) if chosen is None else chosen


def operations(recipe: Recipe) -> Iterator[tuple[str, dict[str, Any]]]:
    """The operations that the section adds to the recipe's own, with their parameters."""
    section = recipe.cloud_init
    if not section.enabled:
        return
    named = {call.name for call in recipe.operations}
    if SET_UP not in named:
        params = section.model_dump(include={"datasources", "network"})
        yield SET_UP, {**params, "growpart": grows(recipe), "device": recipe.network.device}
    if RESET not in named:
        yield RESET, {}


def cloud_init_findings(recipe: Recipe) -> Iterator[Finding]:
    """Settings that conflict with the section."""
    section = recipe.cloud_init
    if not section.enabled:
        return
    yield from twice(section.datasources, ("cloud_init", "datasources"))
    if "None" in section.datasources[:-1]:
        at = section.datasources.index("None")
        yield Finding(
            ("cloud_init", "datasources", at), "nothing after None is looked at", "write it last, or leave it out"
        )
    if section.network and recipe.network.bootproto == "static":
        message = "cloud-init configures the network of each clone, so it cannot be static in the image"
        yield Finding(("network", "bootproto"), message, "remove it, or set cloud_init: {network: false}")
    if section.growpart and any(call.name == _GROW for call in recipe.operations):
        hint = "remove this key; or the operation, so that cloud-init does it"
        yield Finding(("cloud_init", "growpart"), f"the operation {_GROW} grows the root file system already", hint)
    for at, argument in enumerate(recipe.kernel_arguments):
        if argument in _DISABLING:
            yield Finding(
                ("kernel_arguments", at), f"{argument} disables what cloud_init sets up", "remove one of the two"
            )
    for at, name in enumerate(recipe.services.disabled):
        if name.startswith("cloud-init"):
            yield Finding(("services", "disabled", at), f"{name} is needed for cloud_init", "remove one of the two")
