"""A Vagrant box for the provider libvirt: a tar.gz of metadata.json, Vagrantfile and the disks.

One disk is a box of version 1 (box.img, its size in the metadata), which all releases of
vagrant-libvirt read; several disks need version 2, a list of them (vagrant-libvirt 0.8 and newer).
The disks are qcow2, as the provider demands.
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

from imagebuild.exports import archive, disk_copies
from imagebuild.exports.export_source import ExportSource
from imagebuild.exports.guest_machine import GuestMachine
from imagebuild.exports.gzip_stream import FASTEST, GzipStream
from imagebuild.progress import Progress

_GIB = 1 << 30
_OVMF = {
    "uefi": ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_CODE.fd"),
    "uefi-secure": (
        "/usr/share/OVMF/OVMF_CODE_4M.ms.fd", "/usr/share/OVMF/OVMF_CODE.secboot.fd",
        "/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd",
    ),
}  # fmt: skip
"""Where Debian, Ubuntu and Fedora have the firmware: a box can only name a file of its user's host."""


def fill(source: ExportSource, target: Path, progress: Progress) -> None:
    """Write the box. A disk that is not qcow2 is converted beside it first."""
    with target.open("xb") as file, GzipStream(file, FASTEST) as packed:
        with archive.opened(packed, tarfile.GNU_FORMAT) as box:
            archive.add_text(box, "metadata.json", json.dumps(metadata(source), indent=1) + "\n", source.time)
            archive.add_text(box, "Vagrantfile", vagrantfile(source.machine), source.time)
            for name, disk in zip(_image_names(source), source.disks, strict=True):
                made = target.parent / name
                path = disk_copies.as_qcow2(disk, made, progress)
                archive.add_file(box, archive.member(name, path.stat().st_size, source.time), path, progress)
                made.unlink(missing_ok=True)
        packed.finish()


def temporary(source: ExportSource) -> int:
    """The bytes of the largest disk that must be converted."""
    return max((disk_copies.qcow2_size(disk) for disk in source.disks if disk.format != "qcow2"), default=0)


def result(source: ExportSource) -> int:
    """About the most bytes that the box has."""
    return sum(map(disk_copies.qcow2_size, source.disks))


def metadata(source: ExportSource) -> dict[str, Any]:
    """The content of metadata.json; ``virtual_size`` is in GiB, rounded up."""
    size = -(-source.disks[0].size // _GIB)
    found: dict[str, Any] = {"provider": "libvirt", "format": "qcow2", "virtual_size": size}
    if len(source.disks) > 1:
        found["disks"] = [{"path": name} for name in _image_names(source)]
    return found


def vagrantfile(machine: GuestMachine) -> str:
    """The settings of the machine, which a user's own Vagrantfile can override.

    It is code: it contains only numbers, and words of fixed lists.
    """
    settings: list[tuple[str, str]] = [
        ("memory", str(-(-machine.memory >> 20))),
        ("cpus", str(machine.vcpus)),
        ("machine_arch", f'"{machine.architecture}"'),
        ("disk_bus", f'"{machine.bus}"'),
    ]
    if machine.chipset:
        settings.append(("machine_type", f'"{machine.chipset}"'))
    if machine.cards:
        settings.append(("nic_model_type", f'"{machine.cards[0]}"'))
    if machine.firmware != "bios" and machine.architecture == "x86_64":
        paths = ", ".join(f'"{path}"' for path in _OVMF[machine.firmware])
        settings.append(("loader", f"[{paths}].find {{ |path| File.exist?(path) }}"))
    lines = "".join(f"    libvirt.{name} = {value}\n" for name, value in settings)
    return f'Vagrant.configure("2") do |config|\n  config.vm.provider :libvirt do |libvirt|\n{lines}  end\nend\n'


def _image_names(source: ExportSource) -> list[str]:
    return ["box.img", *(f"box_{number}.img" for number in range(1, len(source.disks)))]
