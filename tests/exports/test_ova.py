"""OVA: QEMU reads the disks, virt-v2v the machine, and the archive is what the standard says."""

from __future__ import annotations

import re
import subprocess
import tarfile
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from imagebuild.errors import UsageError
from imagebuild.exports import archive, export_source, exporters, ovf
from imagebuild.exports.export_source import ExportSource
from imagebuild.exports.guest_machine import GuestMachine
from imagebuild.exports.ovf import OvfDisk
from tests.exports.artifacts import MIB, MadeArtifact, made, run

OVF = "{http://schemas.dmtf.org/ovf/envelope/1}"
RASD = "{http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData}"
STEM = "small-2026-11-29.1"
MACHINE = "machine: {memory: 3GiB, vcpus: 3, firmware: uefi}\n"


@pytest.fixture
def small(tmp_path: Path) -> MadeArtifact:
    return made(tmp_path, sizes=(40 * MIB + 512, 8 * MIB), more=MACHINE)


def written(small: MadeArtifact, folder: Path) -> Path:
    return exporters.get("ova").write(export_source.of_artifact(small.artifact), folder)


def test_the_archive_has_the_order_and_format_of_the_standard(small: MadeArtifact, tmp_path: Path) -> None:
    path = written(small, tmp_path / "out")
    names = [f"{STEM}.ovf", f"{STEM}.mf", f"{STEM}-disk1.vmdk", f"{STEM}-disk2.vmdk"]
    with tarfile.open(path, "r:") as package:
        assert package.getnames() == names
        assert {(one.mtime, one.mode, one.uid, one.uname) for one in package} == {(1795973188, 0o644, 0, "")}
    data = path.read_bytes()
    assert data[257:265] == b"ustar\x0000"
    assert len(data) % 10240 == 0


def test_openssl_agrees_with_the_manifest(small: MadeArtifact, tmp_path: Path) -> None:
    run("tar", "-xf", written(small, tmp_path / "out"), "-C", tmp_path)
    names = [f"{STEM}.ovf", f"{STEM}-disk1.vmdk", f"{STEM}-disk2.vmdk"]
    printed = run("openssl", "sha256", *names, cwd=tmp_path)
    assert re.sub(r"^SHA2-256", "SHA256", printed, flags=re.MULTILINE) == (tmp_path / f"{STEM}.mf").read_text()


def test_qemu_reads_the_disks(small: MadeArtifact, tmp_path: Path) -> None:
    run("tar", "-xf", written(small, tmp_path / "out"), "-C", tmp_path)
    for number, raw in enumerate(small.disks, start=1):
        run("qemu-img", "compare", "-f", "raw", "-F", "vmdk", raw, tmp_path / f"{STEM}-disk{number}.vmdk")


def source_of_v2v(path: Path) -> str:
    done = subprocess.run(
        ["virt-v2v", "-i", "ova", "--print-source", path], timeout=120, check=True, capture_output=True, text=True
    )
    assert "warning" not in done.stdout + done.stderr
    return done.stdout


@pytest.mark.seconds
def test_virt_v2v_reads_the_machine(small: MadeArtifact, tmp_path: Path) -> None:
    printed = source_of_v2v(written(small, tmp_path / "out"))
    found = dict(re.findall(r"^ *([a-zA-Z ]+): *(.*)$", printed, re.MULTILINE))
    assert found["source name"] == STEM
    assert found["memory"] == f"{3 << 30} (bytes)"
    assert found["nr vCPUs"] == "3"
    assert found["firmware"] == "uefi"
    assert re.findall(r"^\t\d+ \[(\w+)\]", printed, re.MULTILINE) == ["ide", "ide"]
    assert re.findall(r'"(.+)" \[(\w+)\]', printed) == [("VM Network", "vmxnet3")]


@pytest.mark.seconds
def test_virt_v2v_checks_the_manifest(small: MadeArtifact, tmp_path: Path) -> None:
    path = written(small, tmp_path / "out")
    data = path.read_bytes()
    at = data.index(b"SHA256(") + len(f"SHA256({STEM}.ovf)= ")
    path.write_bytes(data[:at] + (b"0" if data[at : at + 1] != b"0" else b"1") + data[at + 1 :])
    done = subprocess.run(
        ["virt-v2v", "-i", "ova", "--print-source", path], timeout=120, check=False, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "manifest" in done.stderr


def source(**machine: object) -> ExportSource:
    described = replace(GuestMachine(memory=(1 << 30) + 1, vcpus=1), **machine)  # type: ignore[arg-type]
    return ExportSource("web", "1", 'a <b> & "c"', (), described, 0, private=False)


def described(of: ExportSource, *disks: OvfDisk) -> ET.Element:
    text = ovf.descriptor(of, disks)
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<Envelope ')
    return ET.fromstring(text)


def items(envelope: ET.Element) -> list[dict[str, str]]:
    return [
        {child.tag.removeprefix(RASD): child.text or "" for child in item}
        for item in envelope.iterfind(f".//{OVF}Item")
    ]


def test_items_are_in_the_order_of_the_schema() -> None:
    for item in items(described(source(), OvfDisk("a", 1, 2))):
        assert list(item) == sorted(item)


def test_memory_is_in_mebibytes_rounded_up() -> None:
    memory = next(item for item in items(described(source())) if item["ResourceType"] == "4")
    assert (memory["AllocationUnits"], memory["VirtualQuantity"]) == ("byte * 2^20", "1025")


def test_disks_of_a_machine_with_sata_are_on_sata() -> None:
    disks = [OvfDisk(f"{number}.vmdk", 1, 512) for number in range(3)]
    found = items(described(source(bus="sata"), *disks))
    controller = next(item for item in found if item["ResourceType"] == "20")
    assert controller["ResourceSubType"] == "vmware.sata.ahci"
    on = [(item["Parent"], item["AddressOnParent"]) for item in found if item["ResourceType"] == "17"]
    assert on == [(controller["InstanceID"], str(number)) for number in range(3)]


def test_other_disks_are_two_on_each_ide_controller() -> None:
    disks = [OvfDisk(f"{number}.vmdk", 1, 512) for number in range(4)]
    found = items(described(source(), *disks))
    ide = [item["InstanceID"] for item in found if item["ResourceType"] == "5"]
    on = [(item["Parent"], item["AddressOnParent"]) for item in found if item["ResourceType"] == "17"]
    assert on == [(ide[0], "0"), (ide[0], "1"), (ide[1], "0"), (ide[1], "1")]
    with pytest.raises(UsageError, match="an OVA can have 4"):
        ovf.descriptor(source(), [*disks, disks[0]])


def test_secure_boot_and_network_cards() -> None:
    envelope = described(source(firmware="uefi-secure", cards=("e1000", "virtio"), system="rhel"))
    keys = {one.get("{http://www.vmware.com/schema/ovf}key") for one in envelope.iter() if one.tag.endswith("Config")}
    assert keys == {"firmware", "bootOptions.efiSecureBootEnabled"}
    cards = [item["ResourceSubType"] for item in items(envelope) if item["ResourceType"] == "10"]
    assert cards == ["E1000", "VmxNet3"]
    system = envelope.find(f".//{OVF}OperatingSystemSection")
    assert system is not None
    assert system.get(f"{OVF}id") == "80"


def test_text_from_outside_is_escaped() -> None:
    found = described(source()).find(f".//{OVF}Annotation")
    assert found is not None
    assert found.text == 'a <b> & "c"'


def test_a_disk_that_does_not_fit_into_the_archive_is_refused(
    small: MadeArtifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "UNDER_USTAR", MIB // 16)
    with pytest.raises(UsageError, match="an OVA holds less than 8 GiB"):
        written(small, tmp_path / "out")
    assert not (tmp_path / "out").exists()
