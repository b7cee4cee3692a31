"""The virt-install command, checked with virt-install's own parser."""

from __future__ import annotations

import platform
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from imagebuild.errors import HostError
from imagebuild.host import accelerator
from imagebuild.install.script import repeat_script
from imagebuild.machine.choices import VirtType
from imagebuild.machine.virt_install import InstallMachine, SourceDisk, TargetDisk, command
from imagebuild.recipe.model.cpu import Cpu
from imagebuild.recipe.model.machine import Vm
from tests.virt_install_parser import connection, parsed, real

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
    for name in ("ks.cfg", "disk, target.raw", "second.raw", "payload.tar"):
        (tmp_path / name).write_bytes(b"\0" * 1024)
    return InstallMachine(
        name="imagebuild-test",
        connect=connection(tmp_path),
        virt_type="qemu",
        hardware=Vm.model_validate({"vcpus": 3}),
        tree=tree,
        kickstart=tmp_path / "ks.cfg",
        targets=(TargetDisk(tmp_path / "disk, target.raw"),),
        console_log=tmp_path / "console, the.log",
        installer_log=tmp_path / "installer.log",
        kernel_args=("quiet", "panic=-1"),
        sources=(SourceDisk(tmp_path / "payload.tar", "payload"),),
    )


def changed(machine: InstallMachine, **keys: object) -> InstallMachine:
    """The machine with other keys of ``vm``."""
    return replace(machine, hardware=Vm.model_validate(keys))


def test_virt_install_understands_it_as_intended(machine: InstallMachine, tmp_path: Path) -> None:
    domain = parsed(command(machine))
    assert domain.attrib == {"type": "qemu"}
    assert domain.findtext("name") == "imagebuild-test"
    assert domain.findtext("memory") == domain.findtext("currentMemory") == str(1536 * 1024)
    assert domain.findtext("vcpu") == "3"
    assert domain.find("os/type").attrib == {"arch": "x86_64", "machine": "q35"}  # type: ignore[union-attr]
    assert (
        domain.findtext("os/cmdline")
        == "inst.ks=file:/ks.cfg console=ttyS0,115200 clearcpuid=141 no_timer_check norandmaps quiet panic=-1"
    )
    assert [domain.findtext(f"on_{event}") for event in ("poweroff", "reboot", "crash")] == ["destroy"] * 3
    target, payload = domain.findall("devices/disk")
    assert target.find("source").attrib["file"] == str(machine.targets[0].path)  # type: ignore[union-attr]
    driver = target.find("driver").attrib  # type: ignore[union-attr]
    assert (driver["cache"], driver["discard"]) == ("unsafe", "unmap")
    assert target.findtext("serial") == "target"
    assert payload.findtext("serial") == "payload"
    assert payload.find("readonly") is not None
    assert payload.find("source/seclabel").attrib == {"model": "dac", "relabel": "no"}  # type: ignore[union-attr]
    assert domain.find("devices/serial/source").attrib["path"] == str(machine.console_log)  # type: ignore[union-attr]
    (channel,) = domain.findall("devices/channel")
    assert channel.find("target").attrib["name"] == "org.fedoraproject.anaconda.log.0"  # type: ignore[union-attr]
    assert channel.find("source").attrib["path"] == str(machine.installer_log)  # type: ignore[union-attr]
    for absent in ("graphics", "tpm", "sound", "redirdev", "input"):
        assert domain.find(f"devices/{absent}") is None
    assert domain.find("devices/memballoon").attrib == {"model": "none"}  # type: ignore[union-attr]


def test_an_iso_image_is_in_the_machines_drive(machine: InstallMachine) -> None:
    iso = replace(machine.sources[0], serial="medium", cdrom=True)
    _, drive = parsed(command(replace(machine, sources=(iso,)))).findall("devices/disk")
    assert drive.attrib["device"] == "cdrom"
    assert drive.find("target").attrib["bus"] == "sata"  # type: ignore[union-attr]
    assert drive.find("source").attrib["file"] == str(iso.path)  # type: ignore[union-attr]
    assert drive.find("readonly") is not None


@pytest.mark.seconds
def test_the_real_program_understands_it_too(machine: InstallMachine) -> None:
    """With the program itself and libvirt's test driver, which knows one architecture and type."""
    argv = command(replace(machine, connect="test:///default"))
    for option, known in (("--virt-type", "test"), ("--arch", "i686")):
        argv[argv.index(option) + 1] = known
    del argv[argv.index("--machine") : argv.index("--machine") + 2]
    domain = real(argv)
    files = [disk.attrib["file"] for disk in domain.findall("devices/disk/source")]
    assert files == [str(machine.targets[0].path), str(machine.sources[0].path)]
    assert domain.find("devices/serial/source").attrib["path"] == str(machine.console_log)  # type: ignore[union-attr]


@pytest.mark.seconds
@pytest.mark.parametrize("folder", ["a,b", "a=b", "a b", "$HOME `id` \\", "ü%s#;|", "path=x,bus=ide"])
def test_unusual_but_valid_paths_are_unchanged(machine: InstallMachine, tmp_path: Path, folder: str) -> None:
    place = tmp_path / folder
    place.mkdir()
    (place / "disk.raw").write_bytes(b"\0" * 512)
    odd = replace(
        machine,
        connect="test:///default",
        targets=(TargetDisk(place / "disk.raw"),),
        console_log=place / "console.log",
        installer_log=place / "installer.log",
        firmware="uefi",
        nvram=place / "nvram.fd",
    )
    argv = command(odd)
    for option, known in (("--virt-type", "test"), ("--arch", "i686")):
        argv[argv.index(option) + 1] = known
    del argv[argv.index("--machine") : argv.index("--machine") + 2]
    domain = real(argv)
    assert domain.find("devices/disk/source").attrib["file"] == str(place / "disk.raw")  # type: ignore[union-attr]
    assert domain.find("devices/serial/source").attrib["path"] == str(place / "console.log")  # type: ignore[union-attr]
    assert domain.find("devices/channel/source").attrib["path"] == str(place / "installer.log")  # type: ignore[union-attr]
    assert domain.findtext("os/nvram") == str(place / "nvram.fd")


@pytest.mark.parametrize("name", ["it's", 'say "x"', "a&b", "<a>", "a\nb"])
def test_paths_that_virt_install_would_change_are_refused(machine: InstallMachine, tmp_path: Path, name: str) -> None:
    with pytest.raises(HostError, match="it would change the character"):
        command(replace(machine, targets=(TargetDisk(tmp_path / name),)))
    with pytest.raises(HostError, match="it would change the character"):
        command(replace(machine, console_log=tmp_path / name))


def test_several_disks_come_first_and_in_order(machine: InstallMachine, tmp_path: Path) -> None:
    paths = (tmp_path / "disk, target.raw", tmp_path / "second.raw")
    domain = parsed(command(replace(machine, targets=tuple(TargetDisk(path) for path in paths))))
    disks = domain.findall("devices/disk")
    assert [disk.findtext("serial") for disk in disks] == ["target", "target2", "payload"]
    assert [disk.find("target").attrib["dev"] for disk in disks] == ["vda", "vdb", "vdc"]  # type: ignore[union-attr]


def test_scsi_disks_have_a_virtio_controller(machine: InstallMachine, tmp_path: Path) -> None:
    disks = (TargetDisk(tmp_path / "disk, target.raw", "scsi"),)
    domain = parsed(command(replace(changed(machine, disk={"iothread": True}), targets=disks)))
    (controller,) = domain.findall("devices/controller[@type='scsi']")
    assert controller.attrib["model"] == "virtio-scsi"
    assert controller.find("driver").attrib == {"iothread": "1"}  # type: ignore[union-attr]
    assert domain.findtext("iothreads") == "1"


def test_ide_needs_the_older_machine_type(machine: InstallMachine, tmp_path: Path) -> None:
    disks = (TargetDisk(tmp_path / "disk, target.raw", "ide"),)
    domain = parsed(command(replace(machine, targets=disks)))
    assert domain.find("os/type").attrib["machine"] == "pc"  # type: ignore[union-attr]


def test_uefi_stores_its_variables_in_the_given_file(machine: InstallMachine, tmp_path: Path) -> None:
    domain = parsed(command(replace(machine, firmware="uefi", nvram=tmp_path / "nvram, my.fd")))
    assert domain.find("os").attrib == {"firmware": "efi"}  # type: ignore[union-attr]
    assert domain.findtext("os/nvram") == str(tmp_path / "nvram, my.fd")
    assert domain.find("os/firmware/feature").attrib == {"enabled": "no", "name": "secure-boot"}  # type: ignore[union-attr]


def test_arm(machine: InstallMachine, tmp_path: Path) -> None:
    domain = parsed(command(replace(machine, arch="aarch64", firmware="uefi", nvram=tmp_path / "nvram.fd")))
    assert domain.find("os/type").attrib == {"arch": "aarch64", "machine": "virt"}  # type: ignore[union-attr]
    assert domain.findtext("os/cmdline") == "inst.ks=file:/ks.cfg console=ttyAMA0,115200 quiet panic=-1"


def test_a_guest_of_another_architecture_is_emulated(tmp_path: Path) -> None:
    other = "x86_64" if platform.machine() == "aarch64" else "aarch64"
    found = accelerator.verdict(tmp_path / "host.json", other)
    assert found.emulated
    assert other in found.reason


def test_xen_has_its_own_devices(machine: InstallMachine, tmp_path: Path) -> None:
    xen = replace(
        changed(machine, virt_type="xen", networks=["nat"]), virt_type="xen", connect=connection(tmp_path, "xen")
    )
    domain = parsed(command(xen))
    assert domain.attrib == {"type": "xen"}
    assert domain.findtext("os/type") == "hvm"
    assert [disk.attrib["bus"] for disk in domain.findall("devices/disk/target")] == ["xen", "xen"]
    assert domain.find("devices/interface/model").attrib == {"type": "netfront"}  # type: ignore[union-attr]
    assert domain.find("devices/channel") is None


def test_a_display_has_input_devices(machine: InstallMachine) -> None:
    domain = parsed(command(changed(machine, graphics={"type": "vnc", "port": 5901})))
    assert domain.find("devices/graphics").attrib["listen"] == "127.0.0.1"  # type: ignore[union-attr]
    assert domain.find("devices/graphics").attrib["port"] == "5901"  # type: ignore[union-attr]
    assert domain.find("devices/video/model").attrib == {"type": "vga"}  # type: ignore[union-attr]
    assert domain.find("devices/input").attrib["type"] == "tablet"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("wanted", "installers", "virt_type", "mode"),
    [
        (None, None, "qemu", None),
        (None, "maximum", "qemu", "maximum"),
        ("host-model", "maximum", "kvm", "host-model"),
        ("host-passthrough", None, "qemu", "maximum"),
        ("maximum", "maximum", "qemu", "maximum"),
        ("EPYC", "maximum", "qemu", "custom"),
    ],
)
def test_the_cpu(
    machine: InstallMachine, wanted: str | None, installers: str | None, virt_type: VirtType, mode: str | None
) -> None:
    cpu = Cpu(model=installers) if installers else None
    argv = command(replace(changed(machine, cpu=wanted), virt_type=virt_type, cpu=cpu))
    found = [argv[at + 1] for at, word in enumerate(argv) if word == "--cpu"]
    assert [word.partition(",")[0] for word in found] == ([f"mode={mode}"] if mode else [])
    quick = (virt_type, mode) == ("qemu", "maximum") and wanted != "maximum"
    assert ["erms" in word for word in found] == ([quick] if mode else []), "see SLOW_EMULATED"


def test_the_repeat_script_uses_the_files_in_its_folder(machine: InstallMachine, tmp_path: Path) -> None:
    """The script is run with a fake program that prints its arguments, which are then checked."""
    place = tmp_path / "failures, of today"
    place.mkdir()
    (place / "repeat.sh").write_text(repeat_script(machine))
    (place / "console-again.log").write_text("")
    (place / "ks.cfg").write_text("")
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    for name, text in (("virt-install", 'printf "%s\\n" "$@" >"$SEEN"'), ("tail", ":")):
        (bin_folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (bin_folder / name).chmod(0o755)
    env = {"PATH": f"{bin_folder}:/usr/bin:/bin", "SEEN": str(tmp_path / "seen")}
    subprocess.run(["sh", "-eu", place / "repeat.sh"], check=True, env=env)
    words = (tmp_path / "seen").read_text().splitlines()
    domain = parsed(["virt-install", *words])
    assert domain.find("devices/disk/source").attrib["file"] == str(place / "disk, target.raw")  # type: ignore[union-attr]
    assert (place / "disk, target.raw").stat().st_size == 1024
    assert domain.find("devices/serial/source").attrib["path"] == str(place / "console-again.log")  # type: ignore[union-attr]


def test_a_session_daemon_gets_no_owner_labels(machine: InstallMachine) -> None:
    assert any("relabel=no" in word for word in command(replace(machine, connect="qemu:///system")))
    assert not any("seclabel" in word for word in command(replace(machine, connect="qemu:///session")))


def test_only_an_emulated_kernel_must_avoid_an_instruction(machine: InstallMachine) -> None:
    assert any("clearcpuid" in word for word in command(machine))
    assert not any("clearcpuid" in word for word in command(replace(machine, virt_type="kvm")))


def test_it_returns_immediately_and_leaves_no_domain(machine: InstallMachine) -> None:
    argv = command(machine)
    assert "--noautoconsole" in argv
    assert "--transient" in argv
    assert "--wait" not in argv


def test_every_disk_names_its_format(machine: InstallMachine) -> None:
    """Libvirt's test driver has no formats, so this is checked in the command."""
    argv = command(machine)
    disks = [argv[at + 1] for at, word in enumerate(argv) if word == "--disk"]
    assert len(disks) == 2
    assert all(",format=raw," in disk for disk in disks)


def test_the_guests_name_for_libosinfo_is_passed_on(machine: InstallMachine) -> None:
    assert "name=debian13,require=off" in command(replace(machine, osinfo="debian13"))
