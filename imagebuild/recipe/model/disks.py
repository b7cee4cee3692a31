"""Disks: how the guest sees them, and how the host accesses them."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from imagebuild.schema import fields as f
from imagebuild.schema.findings import Finding, Refused
from imagebuild.schema.section import GIB, SecretRef, Section

Bus = Literal["virtio", "scsi", "sata", "ide"]


class Disk(Section):
    """The system disk of the guest: the content of the image."""

    size: f.DiskSize = Field(4 * GIB, description="Size of the disk, with a unit: `4GiB`, `512MiB`.")
    format: Literal["raw"] = Field("raw", description="Format while the image is being built.")
    bus: Bus = Field("virtio", description="Bus, in the install VM and in the domain definition.")


class ExtraDisk(Section):
    """An additional disk of the guest, installed together with the first."""

    size: f.DiskSize = Field(description="Size of the disk, with a unit.")
    bus: Bus = Field("virtio", description="Bus.")


class DiskDriver(Section):
    """How the host accesses all disks of a machine."""

    cache: Literal["writethrough", "writeback", "none", "directsync", "unsafe"] | None = Field(
        None, description="Host cache mode. Default: the hypervisor's default, which is `writeback` for QEMU."
    )
    io: Literal["threads", "native", "io_uring"] | None = Field(
        None, description="How QEMU does I/O. `native` needs cache `none` or `directsync`."
    )
    discard: Literal["unmap", "ignore"] = Field("unmap", description="`unmap` returns trimmed space to the host.")
    iothread: bool = Field(False, description="Dedicated I/O thread for the disks; bus `virtio` or `scsi`.")  # noqa: FBT003

    @model_validator(mode="after")
    def _native(self) -> Self:
        if self.io == "native" and self.cache not in ("none", "directsync"):
            found = f"cache: {self.cache}" if self.cache else "the default cache mode"
            message = f"native I/O bypasses the host's page cache, but {found} uses it"
            raise Refused([Finding(("io",), message, "set cache: none or cache: directsync")])
        return self


class InstallDiskDriver(DiskDriver):
    """How the host accesses the disks while the system is installed."""

    cache: Literal["writethrough", "writeback", "none", "directsync", "unsafe"] | None = Field(
        "unsafe", description="Host cache mode. `unsafe` is suitable for a disk that is discarded on failure."
    )


class Encryption(Section):
    """Encrypted disks. Which ones is up to the kickstart (`--encrypted`); every clone of the image has the
    same key until it is changed in the clone.
    """

    passphrase: SecretRef | None = Field(
        None,
        description="Reference to the passphrase: `{env: NAME}` or `{file: PATH}`. A template writes it with"
        " `--passphrase={{ encryption.passphrase }}`, and operations unlock the disks with it.",
    )
