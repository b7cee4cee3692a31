"""What an installation leaves for the manifest, beside its disks."""

from __future__ import annotations

from dataclasses import dataclass

from imagebuild.host.accelerator import Accelerator
from imagebuild.step import UsedSource

RECORD = "installation.json"
"""In the entry of an installation, and of what is made of it."""


@dataclass(frozen=True)
class MachineTimes:
    """How long the VM ran, and how long until its installer did, in seconds."""

    seconds: float
    seconds_to_installer: float


@dataclass(frozen=True)
class InstallationRecord:
    """What the system was installed from, and how."""

    sources: tuple[UsedSource, ...]
    accelerator: Accelerator
    machine: MachineTimes
    identity: str = ""
    """What the identifiers of the disks were derived from; empty if they are random."""
