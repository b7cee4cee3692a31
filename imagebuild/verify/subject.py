"""What is verified: images, the machine that they are for, and the checks that it must pass."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from imagebuild.contents.inventory import Inventory
from imagebuild.errors import UsageError
from imagebuild.store import beside
from imagebuild.verify import clone_seed, clone_xml, identities
from imagebuild.verify.check import CheckCall

Firmware = Literal["bios", "uefi", "uefi-secure"]
_NEWER_CPU = frozenset({
    "rhel", "centos", "rocky", "almalinux", "ol", "sles", "sled", "opensuse-leap", "opensuse-tumbleweed",
})  # fmt: skip
"""os-release(5)'s names of systems whose current releases need more than the first x86-64 CPUs have."""
_SECURE_BOOT = (
    "<firmware><feature enabled='yes' name='secure-boot'/><feature enabled='yes' name='enrolled-keys'/></firmware>"
    "<loader secure='yes'/>"
)


@dataclass(frozen=True)
class SubjectDisk:
    """An image file and its format, as a manifest calls it; ``size`` is the disk's in bytes, if it is
    known."""

    path: Path
    format: str
    size: int = 0


@dataclass(frozen=True)
class Subject:
    """An image to verify.

    ``machine`` is a libvirt domain definition. With ``agent``, commands run through the guest agent
    of the image, else a shell is added to the clones' overlays. ``old_cpu`` is whether the guest
    runs on a plain x86-64 CPU. ``seeds`` are the paths of random seeds in the image, None if they
    are not known. ``grows`` adds bytes to the clones' system disk. ``cloud_init`` is whether the image has
    cloud-init, None if that is not known.
    """

    name: str
    disks: tuple[SubjectDisk, ...]
    machine: ET.Element
    checks: Sequence[CheckCall] = ()
    agent: bool = False
    old_cpu: bool = True
    seeds: Sequence[str] | None = None
    sha256: str = ""
    grows: int = 0
    cloud_init: bool | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def seeded(self) -> bool:
        """Whether the clones get a seed for their cloud-init: one of the checks looks what became of it."""
        return any(call.name == clone_seed.CHECK for call in self.checks)

    @property
    def seeded_device(self) -> str | None:
        """The interface that the seed configures, if the check names it."""
        called = (call.params for call in self.checks if call.name == clone_seed.CHECK)
        return next((getattr(params, "device", None) for params in called), None)

    def informed(self, inventory: Inventory | None) -> Subject:
        """The same, with what an inventory of the guest says; what is known already stays."""
        if inventory is None:
            return self
        seeds = identities.seeds(inventory) if self.seeds is None else self.seeds
        system = inventory.system.id
        return replace(self, seeds=seeds, old_cpu=self.old_cpu or (system != "" and system not in _NEWER_CPU))


def definition_beside(path: Path) -> ET.Element:
    """The domain definition in a file. Raises UsageError if it is missing or not usable."""
    try:
        content = beside.content_of(path, clone_xml.LONGEST)
    except beside.ManifestError as error:
        raise UsageError(f"{path} is not usable as a domain definition: {error}") from error
    if content is None:
        raise UsageError(f"{path} is missing: it is the machine that the image is for")
    try:
        return clone_xml.parsed(content.decode(), str(path))
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text") from error


def usual_machine(
    *, firmware: Firmware = "bios", memory: int = 2 << 30, vcpus: int = 2, bus: str = "virtio"
) -> ET.Element:
    """A machine for an image without a definition; ``memory`` is in bytes."""
    efi = "" if firmware == "bios" else " firmware='efi'"
    secure, smm = "", ""
    if firmware == "uefi-secure":
        secure = _SECURE_BOOT
        smm = "<smm state='on'/>"
    elif firmware == "uefi":
        secure = "<firmware><feature enabled='no' name='secure-boot'/></firmware>"
    device = "vda" if bus == "virtio" else "sda"
    return ET.fromstring(  # noqa: S314 - our own text
        f"<domain type='kvm'><memory unit='KiB'>{memory // 1024}</memory><vcpu>{vcpus}</vcpu>"
        f"<os{efi}><type arch='x86_64' machine='q35'>hvm</type>{secure}</os>"
        f"<features><acpi/><apic/>{smm}</features><cpu mode='host-model'/><clock offset='utc'/>"
        f"<devices><disk type='file' device='disk'><target dev='{device}' bus='{bus}'/></disk>"
        "<interface type='user'><model type='virtio'/></interface><serial type='pty'><target port='0'/></serial>"
        f"<channel type='unix'><target type='virtio' name='{clone_xml.AGENT}'/></channel>"
        "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng><memballoon model='virtio'/>"
        "</devices></domain>"
    )
