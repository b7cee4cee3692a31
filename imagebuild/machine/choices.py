"""Choices that a recipe leaves open, shared by virt-install and the domain definition. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from imagebuild.host.accelerator import SLOW_EMULATED
from imagebuild.recipe.model.cpu import Cpu
from imagebuild.recipe.model.machine import Hardware

VirtType = Literal["kvm", "qemu", "xen"]
AGENT_PORT = "org.qemu.guest_agent.0"
"""The virtio-serial port that QEMU's guest agent listens on (qemu-ga(8))."""
SPICE_PORT = "com.redhat.spice.0"
"""The virtio-serial port of SPICE's agent."""
RANDOM_SOURCE = "/dev/urandom"
IOTHREAD = "1"
"""The I/O thread that all disks share."""


def chipset(virt_type: VirtType, arch: str, buses: Iterable[str]) -> str:
    """libvirt's machine type: q35, or the older pc for IDE disks, which q35 does not support."""
    if virt_type == "xen":
        return "xenfv"
    if arch == "aarch64":
        return "virt"
    return "pc" if "ide" in buses else "q35"


def emulated(cpu: Cpu, arch: str) -> Cpu:
    """``cpu`` for an emulated machine: QEMU's ``maximum`` for a model that follows the host."""
    if cpu.mode == "custom":
        return cpu
    features = {SLOW_EMULATED: "disable"} if arch == "x86_64" else {}
    return Cpu.model_validate({"model": "maximum", "features": features | cpu.features})


def cpu(hardware: Hardware, virt_type: VirtType, arch: str) -> Cpu | None:
    """The CPU model of a machine for production use; None leaves the choice to the hypervisor."""
    if hardware.cpu is not None or virt_type == "xen":
        return hardware.cpu
    if virt_type == "qemu":
        return emulated(Cpu(model="maximum"), arch)
    return Cpu(model="host-passthrough" if arch == "aarch64" else "host-model")


def bus(name: str, virt_type: VirtType) -> str:
    """The bus of a disk: virtio means paravirtual, which under Xen is Xen's own bus."""
    return "xen" if name == "virtio" and virt_type == "xen" else name


def card_model(name: str, virt_type: VirtType) -> str:
    """The model of a network card, likewise."""
    return "netfront" if name == "virtio" and virt_type == "xen" else name


def video(arch: str) -> str:
    """The display adapter: one that every guest has a driver for; ARM firmware supports only
    virtio.
    """
    return "virtio" if arch == "aarch64" else "vga"


def tpm_model(arch: str) -> str:
    """The TPM's interface: CRB exists only on x86."""
    return "tpm-tis" if arch == "aarch64" else "tpm-crb"


def balloon_model(hardware: Hardware, virt_type: VirtType) -> str:
    """The model of the balloon device; ``none`` in libvirt means no balloon."""
    if not hardware.balloon:
        return "none"
    return "xen" if virt_type == "xen" else "virtio"


def firmware_features(firmware: str, virt_type: VirtType) -> tuple[tuple[str, bool], ...]:
    """Features of the UEFI firmware for libvirt to choose: Secure Boot with Microsoft's keys, or no
    Secure Boot.

    Xen has only one firmware, so there is no choice.
    """
    if virt_type == "xen":
        return ()
    if firmware == "uefi-secure":
        return (("secure-boot", True), ("enrolled-keys", True))
    return (("secure-boot", False),)
