"""Every key of ``vm`` reaches the installation's virt-install command: the same machines as for the
domain definition.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from imagebuild.machine.domain_xml import definition, virt_type
from imagebuild.machine.virt_install import InstallMachine, TargetDisk, command
from imagebuild.recipe.model.machine import Vm
from tests.machine.machines import MACHINES, facts, recipe
from tests.virt_install_parser import connection, parsed

SAME = (
    "type", "memory", "pages", "page sizes", "vcpus", "pins", "iothreads", "machine", "cells", "topology",
    "cpu features",
    "scsi", "cards", "display", "video", "inputs", "tpm", "rng", "balloon",
)  # fmt: skip
"""What must equal the domain definition of a machine with the same keys."""


@pytest.mark.parametrize("more", MACHINES.values(), ids=MACHINES)
def test_it_installs_in_the_machine_of_the_recipe(more: str, tmp_path: Path) -> None:
    made = recipe(more)
    kind = virt_type(made.machine)
    hardware = Vm.model_validate({**made.machine.model_dump(mode="json", exclude={"firmware"}), "serial": True})
    for name in ("vmlinuz", "initrd.img", "ks.cfg", *(f"disk{number}.raw" for number in range(len(made.disks)))):
        (tmp_path / name).write_bytes(b"\0" * 512)
    (tmp_path / ".treeinfo").write_text(
        "[general]\nfamily = kickstrap\nversion = 13\narch = x86_64\n[tree]\narch = x86_64\n"
        "[images-x86_64]\nkernel = vmlinuz\ninitrd = initrd.img\n"
    )
    machine = InstallMachine(
        name="imagebuild-test",
        connect=connection(tmp_path, "xen" if kind == "xen" else "qemu"),
        virt_type=kind,
        hardware=hardware,
        tree=tmp_path,
        kickstart=tmp_path / "ks.cfg",
        targets=tuple(TargetDisk(tmp_path / f"disk{at}.raw", disk.bus) for at, disk in enumerate(made.disks)),
        console_log=tmp_path / "console.log",
        installer_log=tmp_path / "installer.log",
    )
    macs = {card.mac for card in made.machine.networks if card.mac is not None}
    theirs = facts(parsed(command(machine)), macs)
    ours = facts(ET.fromstring(definition(made)), macs)
    # virt-install chooses the CPU of an emulated machine for the installer, unless the recipe names one
    same = [key for key in SAME if key != "cpu features" or made.machine.cpu is not None]
    assert {key: theirs[key] for key in same} == {key: ours[key] for key in same}
    options = ("bus", "dev", "cache", "io", "discard", "iothread")
    assert [[disk[key] for key in options] for disk in theirs["disks"]] == [
        [disk[key] for key in options] for disk in ours["disks"]
    ]
    agent = ("unix", "virtio", "org.qemu.guest_agent.0")
    assert (agent in theirs["channels"]) == (agent in ours["channels"])
