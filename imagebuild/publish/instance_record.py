"""What is wanted of a machine that is made from a template, and what was made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from imagebuild.publish.first_boot import FirstBootValues, Way
from imagebuild.publish.instance_xml import HardwareChoice

Sign = Literal["guest agent", "DHCP lease", "login prompt"]


@dataclass(frozen=True)
class InstanceRequest:
    """What is wanted: ``version`` is empty for the current one, ``disk_size`` is that of the system
    disk in bytes, or None for the template's. ``verify_stored`` reads the version's files back first,
    where the host can do that without sending them.
    """

    template: str
    name: str
    version: str = ""
    copy: bool = False
    disk_size: int | None = None
    machine: HardwareChoice = field(default_factory=HardwareChoice)
    values: FirstBootValues = field(default_factory=FirstBootValues)
    verify_stored: bool = True


@dataclass(frozen=True)
class Instance:
    """A machine that was made; ``hostname`` is what it gets at its first boot, empty if nothing."""

    name: str
    uuid: str
    template: str
    version: str
    volumes: tuple[str, ...]
    mac_addresses: tuple[str, ...]
    hostname: str
    way: Way
    emulated: bool


@dataclass(frozen=True)
class Usable:
    """How a machine was seen to be usable, after how many seconds, and its address if it is known."""

    sign: Sign
    seconds: float
    address: str
