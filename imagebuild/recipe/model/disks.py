"""Disks: what the guest sees of them, and how the host keeps them."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from imagebuild.schema import fields as f
from imagebuild.schema.findings import Finding, Refused
from imagebuild.schema.section import GIB, Section

Bus = Literal["virtio", "scsi", "sata", "ide"]


class Disk(Section):
    """The system disk of the guest: what is in the image."""

    size: f.DiskSize = Field(4 * GIB, description="Size of the disk, with a unit: `4GiB`, `512MiB`.")
    format: Literal["raw"] = Field("raw", description="Format while the image is being built.")
    bus: Bus = Field("virtio", description="Bus, in the install VM and in the domain definition.")


class ExtraDisk(Section):
    """A further disk of the guest, installed together with the first."""

    size: f.DiskSize = Field(description="Size of the disk, with a unit.")
    bus: Bus = Field("virtio", description="Bus.")


class DiskDriver(Section):
    """How the host keeps all disks of a machine."""

    cache: Literal["writethrough", "writeback", "none", "directsync", "unsafe"] | None = Field(
        None, description="Host cache mode. Without it: the hypervisor's default, which is `writeback` for QEMU."
    )
    io: Literal["threads", "native", "io_uring"] | None = Field(
        None, description="How QEMU does I/O. `native` needs cache `none` or `directsync`."
    )
    discard: Literal["unmap", "ignore"] = Field(
        "unmap", description="`unmap` gives back to the host what the guest trims."
    )
    iothread: bool = Field(False, description="A thread of its own for the disks; bus `virtio` or `scsi`.")  # noqa: FBT003

    @model_validator(mode="after")
    def _native(self) -> Self:
        if self.io == "native" and self.cache not in ("none", "directsync"):
            found = f"cache: {self.cache}" if self.cache else "the default cache mode"
            message = f"native I/O goes past the host's page cache, and {found} uses it"
            raise Refused([Finding(("io",), message, "write cache: none, or cache: directsync")])
        return self


class InstallDiskDriver(DiskDriver):
    """How the host keeps the disks while the system is installed."""

    cache: Literal["writethrough", "writeback", "none", "directsync", "unsafe"] | None = Field(
        "unsafe", description="Host cache mode. `unsafe` is right for a disk that is thrown away on failure."
    )
