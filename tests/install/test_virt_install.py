"""The virt-install command, held against virt-install's own parser."""

from __future__ import annotations

import subprocess
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from imagebuild.install.virt_install import InstallMachine, SourceDisk, command

TREEINFO = """[general]
family = kickstrap
version = 13
arch = x86_64
[tree]
arch = x86_64
[images-x86_64]
kernel = images/vmlinuz
initrd = images/initrd.img
"""


@pytest.fixture
def machine(tmp_path: Path) -> InstallMachine:
    tree = tmp_path / "tree, with a comma"
    (tree / "images").mkdir(parents=True)
    (tree / ".treeinfo").write_text(TREEINFO)
    for name in ("vmlinuz", "initrd.img"):
        (tree / "images" / name).write_bytes(b"\0" * 512)
    for name in ("ks.cfg", "disk, target.raw", "payload.tar"):
        (tmp_path / name).write_bytes(b"\0" * 1024)
    return InstallMachine(
        name="imagebuild-test",
        connect="test:///default",
        virt_type="qemu",
        memory=1536,
        vcpus=3,
        tree=tree,
        kickstart=tmp_path / "ks.cfg",
        target=tmp_path / "disk, target.raw",
        console_log=tmp_path / "console, the.log",
        installer_log=tmp_path / "installer.log",
        kernel_args=("quiet", "panic=-1"),
        sources=(SourceDisk(tmp_path / "payload.tar", "payload"),),
    )


def parsed(machine: InstallMachine) -> ET.Element:
    """The domain as the real virt-install understands the command (libvirt's test driver, nothing is started)."""
    argv = [*command(replace(machine, virt_type="qemu")), "--dry-run", "--print-xml", "1"]
    argv[argv.index("--virt-type") + 1] = "test"  # the only type that the test driver knows
    argv[argv.index("--arch") + 1] = "i686"
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return ET.fromstring(done.stdout)


def test_virt_install_understands_it_as_meant(machine: InstallMachine, tmp_path: Path) -> None:
    domain = parsed(machine)
    assert domain.findtext("name") == "imagebuild-test"
    assert domain.findtext("memory") == str(1536 * 1024)
    assert domain.findtext("vcpu") == "3"
    assert (
        domain.findtext("os/cmdline")
        == "inst.ks=file:/ks.cfg console=ttyS0,115200 clearcpuid=141 no_timer_check quiet panic=-1"
    )
    assert [domain.findtext(f"on_{event}") for event in ("poweroff", "reboot", "crash")] == ["destroy"] * 3
    target, payload = domain.findall("devices/disk")
    assert target.find("source").attrib["file"] == str(machine.target)  # type: ignore[union-attr]
    assert target.find("driver").attrib == {"cache": "unsafe", "discard": "unmap"}  # type: ignore[union-attr]
    assert target.findtext("serial") == "target"
    assert payload.findtext("serial") == "payload"
    assert payload.find("readonly") is not None
    assert payload.find("source/seclabel").attrib == {"model": "dac", "relabel": "no"}  # type: ignore[union-attr]
    assert domain.find("devices/serial/source").attrib["path"] == str(machine.console_log)  # type: ignore[union-attr]
    assert domain.find("devices/channel/target").attrib["name"] == "org.fedoraproject.anaconda.log.0"  # type: ignore[union-attr]
    assert domain.find("devices/graphics") is None


def test_a_users_own_daemon_is_told_nothing_about_owners(machine: InstallMachine) -> None:
    assert any("relabel=no" in word for word in command(replace(machine, connect="qemu:///system")))
    assert not any("seclabel" in word for word in command(replace(machine, connect="qemu:///session")))


def test_only_an_emulated_kernel_is_kept_from_an_instruction(machine: InstallMachine) -> None:
    assert any("clearcpuid" in word for word in command(machine))
    assert not any("clearcpuid" in word for word in command(replace(machine, virt_type="kvm")))


def test_it_comes_back_at_once_and_keeps_no_domain(machine: InstallMachine) -> None:
    argv = command(machine)
    assert "--noautoconsole" in argv
    assert "--transient" in argv
    assert "--wait" not in argv


def test_every_disk_names_its_format(machine: InstallMachine) -> None:
    """Libvirt's test driver has no formats, so this one is read off the command."""
    argv = command(machine)
    disks = [argv[at + 1] for at, word in enumerate(argv) if word == "--disk"]
    assert len(disks) == 2
    assert all(",format=raw," in disk for disk in disks)


def test_the_guests_name_for_libosinfo_is_passed_on(machine: InstallMachine) -> None:
    assert "name=debian13,require=off" in command(replace(machine, osinfo="debian13"))
