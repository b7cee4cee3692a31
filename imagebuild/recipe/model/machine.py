"""The machine that the guest runs on, and the virtual machine that installs it.

Both have the same keys.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from imagebuild.recipe.model import machine_fields as mf
from imagebuild.recipe.model.cpu import Cpu, NumaCell, Vcpus
from imagebuild.recipe.model.devices import Graphics, NetworkCard
from imagebuild.recipe.model.disks import Disk, DiskDriver, ExtraDisk, InstallDiskDriver
from imagebuild.recipe.model.machine_findings import hardware_findings
from imagebuild.schema import fields as f
from imagebuild.schema.findings import Finding, Refused
from imagebuild.schema.section import GIB, MIB, Section, Short, without_none, without_nothing

__all__ = ["Disk", "DiskDriver", "ExtraDisk", "Hardware", "InstallDiskDriver", "Machine", "Memory", "Vm"]

_SIZES = (256 * MIB, 16 * 1024 * GIB)


class Memory(Section):
    """Memory of a machine, in bytes."""

    maximum: f.MemorySize = Field(description="Maximum memory of the guest, with a unit.")
    current: f.MemorySize = Field(
        default_factory=lambda data: data.get("maximum", 0),
        description="Memory at the start; the balloon provides the rest. Default: all.",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        wrong = [
            Finding((key,), "the memory of a VM must be a multiple of 1MiB")
            for key in ("maximum", "current")
            if getattr(self, key) % MIB
        ]
        if self.current > self.maximum:
            message = f"{f.size_text(self.current)} at the start exceeds the maximum of {f.size_text(self.maximum)}"
            wrong.append(Finding(("current",), message))
        if wrong:
            raise Refused(wrong)
        return self


def _memory(value: object) -> dict[str, Any]:
    size = f.sized(*_SIZES, f.byte_size, f.size_text)(value)
    if size % MIB:
        raise ValueError("the memory of a VM must be a multiple of 1MiB")
    return {"maximum": size}


def _vcpus(value: object) -> dict[str, Any]:
    if value is None:
        return {}
    return {"maximum": f.sized(1, 512, f.whole_number, str)(value)}


def _cpu(value: object) -> dict[str, Any] | None:
    return None if value is None else {"model": value}


def _graphics(value: object) -> dict[str, Any]:
    kind = f.text(value)
    if kind not in ("none", "vnc", "spice"):
        raise ValueError(f"expected 'none', 'vnc' or 'spice', found {f.shown(kind)}")
    return {"type": kind}


def _card(value: object) -> dict[str, Any]:
    kind = f.text(value)
    if kind not in ("user", "nat", "none"):
        raise ValueError(f"expected 'user', 'nat', 'none' or a mapping of keys, found {f.shown(kind)}")
    return {"type": kind}


_MEMORY = Short(_memory, f.Kind("size", lambda memory: f.size_text(memory.maximum), f.SIZE))
_VCPUS = Short(
    _vcpus, f.Kind("number", lambda vcpus: str(vcpus.maximum), {"type": "integer", "minimum": 1, "maximum": 512})
)
_CPU = Short(_cpu, f.Kind("model", lambda cpu: cpu.model, {"type": ["string", "null"]}))
_GRAPHICS = Short(
    _graphics, f.Kind("`none`, `vnc`, `spice`", lambda graphics: graphics.type, {"enum": ["none", "vnc", "spice"]})
)
_CARD = Short(_card, f.Kind("`user`, `nat`, `none`", lambda card: card.type, {"enum": ["user", "nat", "none"]}))

Card = Annotated[NetworkCard, BeforeValidator(_CARD)]


def _under_xen(data: dict[str, Any]) -> bool:
    return bool(data.get("virt_type") == "xen")


def _not_under_xen(data: dict[str, Any]) -> bool:
    return bool(data.get("virt_type") != "xen")


class Hardware(Section):
    """A virtual machine without its disks and its firmware."""

    virt_type: Literal["auto", "kvm", "qemu", "xen"] = Field(
        "auto", description="Hypervisor. `auto` is `kvm` in the domain definition; `qemu` emulates."
    )
    memory: Annotated[Memory, BeforeValidator(_MEMORY)] = Field(
        default_factory=lambda: Memory(maximum=2 * GIB), description="Memory: a size, or the two keys that follow."
    )
    vcpus: Annotated[Vcpus, BeforeValidator(_VCPUS)] = Field(
        default_factory=Vcpus, description="Virtual CPUs: their number, or the keys that follow."
    )
    numa: Annotated[tuple[NumaCell, ...], BeforeValidator(without_nothing)] = Field(
        (), description="NUMA cells of the guest; together they contain all vCPUs and all memory."
    )
    cpu: Annotated[Cpu | None, BeforeValidator(_CPU)] = Field(
        None,
        description="CPU model, or the keys that follow. Default: `host-model` for `kvm` (on aarch64"
        " `host-passthrough`), `maximum` without the feature `erms` for `qemu`, Xen's own default for `xen`.",
    )
    huge_pages: mf.HugePages = Field(
        False,  # noqa: FBT003
        description="Back the memory with huge pages, which the host must have reserved: `true` for the host's default"
        " size, or `2MiB`, `1GiB`.",
    )
    memory_sharing: bool = Field(True, description="`false`: KSM must not merge the guest's pages.")  # noqa: FBT003
    tpm: bool = Field(False, description="Emulated TPM 2.0; the host needs swtpm.")  # noqa: FBT003
    disk: Annotated[DiskDriver, BeforeValidator(without_none)] = Field(
        default_factory=DiskDriver, description="How the host accesses the disks."
    )
    networks: Annotated[tuple[Card, ...], BeforeValidator(without_nothing)] = Field(
        default_factory=lambda: (NetworkCard(type="nat"),),
        description="Network cards: each is a type, or the keys that follow.",
    )
    graphics: Annotated[Graphics, BeforeValidator(_GRAPHICS)] = Field(
        default_factory=lambda: Graphics(type="none"), description="Display: a type, or the keys that follow."
    )
    serial: bool = Field(True, description="Serial console.")  # noqa: FBT003
    guest_agent: bool = Field(
        default_factory=_not_under_xen,
        description="Channel of the QEMU guest agent. Default: `true`; `false` with Xen.",
    )
    rng: bool = Field(
        default_factory=_not_under_xen,
        description="Random number generator fed by the host. Default: `true`; `false` with Xen.",
    )
    balloon: bool = Field(True, description="Memory balloon, with which the host reclaims and returns memory.")  # noqa: FBT003

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if wrong := list(hardware_findings(self)):
            raise Refused(wrong)
        return self


class Machine(Hardware):
    """The machine that the guest runs on: the domain definition that accompanies the image."""

    firmware: Literal["bios", "uefi", "uefi-secure"] = Field(
        "bios",
        description="`uefi-secure` is UEFI with Secure Boot and Microsoft's keys. The guest is installed for this"
        " firmware.",
    )


class Vm(Hardware):
    """The virtual machine that runs the installation; nothing of it becomes part of the image."""

    virt_type: Literal["auto", "kvm", "qemu", "xen"] = Field("auto", description="`auto` uses KVM if it really works.")
    memory: Annotated[Memory, BeforeValidator(_MEMORY)] = Field(
        default_factory=lambda: Memory(maximum=1536 * MIB), description="Memory: a size, or the two keys that follow."
    )
    cpu: Annotated[Cpu | None, BeforeValidator(_CPU)] = Field(
        None, description="CPU model. Default: `maximum` for Anaconda, virt-install's choice for kickstrap."
    )
    disk: Annotated[InstallDiskDriver, BeforeValidator(without_none)] = Field(
        default_factory=InstallDiskDriver, description="How the host accesses the disks."
    )
    networks: Annotated[tuple[Card, ...], BeforeValidator(without_nothing)] = Field(
        default_factory=lambda: (NetworkCard(type="user"),),
        description="Network cards: each is a type, or the keys that follow.",
    )
    guest_agent: bool = Field(False, description="Channel of the QEMU guest agent.")  # noqa: FBT003
    balloon: bool = Field(
        default_factory=_under_xen,
        description="Memory balloon. Default: `false`; `true` with Xen, which always has one.",
    )
    timeout: f.Timeout = Field(1800, description="The installation is aborted after this time: `30m`, `90s`, `1h30m`.")

    @model_validator(mode="before")
    @classmethod
    def _not_here(cls, value: Any) -> Any:
        if isinstance(value, dict) and "firmware" in value:
            message = "the install VM uses the machine's firmware"
            raise Refused([Finding(("firmware",), message, "set machine.firmware instead", at_key=True)])
        return value

    @model_validator(mode="after")
    def _is_followed(self) -> Self:
        if not self.serial:
            raise Refused([Finding(("serial",), "the install VM needs it to follow the installer's console")])
        return self
