"""The machine: its disks, and the virtual machine that installs."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from imagebuild.recipe import fields as f
from imagebuild.recipe.findings import Finding, Refused
from imagebuild.recipe.section import GIB, MIB, Section


class Disk(Section):
    """The disk of the template."""

    size: f.DiskSize = Field(4 * GIB, description="Size of the disk, with a unit: `4GiB`, `512MiB`.")
    format: Literal["raw"] = Field("raw", description="Format while the image is being built.")
    bus: Literal["virtio", "scsi", "sata", "ide"] = Field("virtio", description="Bus in the install VM.")
    cache: Literal["writethrough", "writeback", "none", "directsync", "unsafe"] = Field(
        "unsafe",
        description="Host cache mode in the install VM. `unsafe` is right for a disk that is thrown away on failure.",
    )


class Vm(Section):
    """The virtual machine that installs; nothing of it is in the image."""

    virt_type: Literal["auto", "kvm", "qemu"] = Field("auto", description="`auto` takes KVM where it really works.")
    memory: f.MemorySize = Field(1536 * MIB, description="Memory of the VM, with a unit.")
    vcpus: Annotated[f.Whole, Field(ge=1, le=512)] = Field(2, description="Virtual CPUs of the VM.")
    network: Literal["user"] = Field("user", description="`user` is QEMU's own network; it needs nothing of the host.")
    graphics: Literal["none"] = Field("none", description="No display; the console is a log.")
    timeout: f.Timeout = Field(1800, description="The installation is ended after this time: `30m`, `90s`, `1h30m`.")

    @model_validator(mode="after")
    def _whole_megabytes(self) -> Self:
        if self.memory % MIB:
            raise Refused([Finding(("memory",), "the memory of a VM must be a multiple of 1MiB")])
        return self
