"""Vagrant boxes: Vagrant itself adds them, and vagrant-libvirt knows all of their settings."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from imagebuild.exports import export_source, exporters, vagrant
from imagebuild.exports.guest_machine import GuestMachine
from tests.exports.artifacts import MIB, MadeArtifact, made, run


class Vagrant:
    """Vagrant with a home of its own."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.project = folder / "project"
        self.project.mkdir(parents=True)

    def run(self, *argv: str | Path) -> str:
        env = {
            "PATH": "/usr/bin:/bin", "HOME": str(self.home), "VAGRANT_HOME": str(self.home / "vagrant"),
            "VAGRANT_CHECKPOINT_DISABLE": "1", "VAGRANT_DEFAULT_PROVIDER": "libvirt", "LC_ALL": "C.UTF-8",
        }  # fmt: skip
        self.home.mkdir(exist_ok=True)
        return run("vagrant", *argv, env=env, cwd=self.project)


def box(small: MadeArtifact, folder: Path) -> Path:
    return exporters.get("vagrant").write(export_source.of_artifact(small.artifact), folder)


@pytest.mark.seconds
@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_vagrant_adds_the_box_and_knows_its_settings(tmp_path: Path, firmware: str) -> None:
    small = made(tmp_path, more=f"machine: {{memory: 3GiB, vcpus: 3, firmware: {firmware}}}\n")
    own = Vagrant(tmp_path / "vagrant")
    own.run("box", "add", "--name", "small", "--provider", "libvirt", box(small, tmp_path / "out"))
    added = own.home / "vagrant" / "boxes" / "small" / "0" / "libvirt"
    assert sorted(path.name for path in added.iterdir()) == ["Vagrantfile", "box.img", "metadata.json"]
    run("qemu-img", "compare", "-f", "raw", "-F", "qcow2", small.disks[0], added / "box.img")
    (own.project / "Vagrantfile").write_text('Vagrant.configure("2") { |config| config.vm.box = "small" }\n')
    assert "validated successfully" in own.run("validate")
    (added / "Vagrantfile").write_text((added / "Vagrantfile").read_text().replace("cpus", "cpuz"))
    with pytest.raises(subprocess.CalledProcessError) as error:
        own.run("validate")
    assert "cpuz" in error.value.stderr


def test_one_disk_is_a_box_of_version_1(tmp_path: Path) -> None:
    path = box(made(tmp_path), tmp_path / "out")
    assert run("tar", "-tzf", path).split() == ["metadata.json", "Vagrantfile", "box.img"]
    metadata = json.loads(run("tar", "-xzOf", path, "metadata.json"))
    assert metadata == {"provider": "libvirt", "format": "qcow2", "virtual_size": 1}


def test_several_disks_are_listed(tmp_path: Path) -> None:
    small = made(tmp_path, sizes=(2 * MIB, MIB, MIB), image_format="raw")
    run("tar", "-xzf", box(small, tmp_path / "out"), "-C", tmp_path)
    metadata = json.loads((tmp_path / "metadata.json").read_text())
    assert metadata["disks"] == [{"path": "box.img"}, {"path": "box_1.img"}, {"path": "box_2.img"}]
    for raw, disk in zip(small.disks, metadata["disks"], strict=True):
        run("qemu-img", "compare", "-f", "raw", "-F", "qcow2", raw, tmp_path / disk["path"])


def test_the_vagrantfile_contains_numbers_and_known_words() -> None:
    machine = GuestMachine(memory=(1 << 30) + 1, vcpus=2, chipset="q35", bus="scsi", cards=("e1000",))
    assert vagrant.vagrantfile(machine) == (
        'Vagrant.configure("2") do |config|\n'
        "  config.vm.provider :libvirt do |libvirt|\n"
        "    libvirt.memory = 1025\n"
        "    libvirt.cpus = 2\n"
        '    libvirt.machine_arch = "x86_64"\n'
        '    libvirt.disk_bus = "scsi"\n'
        '    libvirt.machine_type = "q35"\n'
        '    libvirt.nic_model_type = "e1000"\n'
        "  end\n"
        "end\n"
    )
    assert ".find { |path| File.exist?(path) }" in vagrant.vagrantfile(replace(machine, firmware="uefi-secure"))
    assert "nic_model" not in vagrant.vagrantfile(replace(machine, cards=()))
