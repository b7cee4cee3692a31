"""What is verified: artifacts with their manifest, and image files; neither is trusted."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import zstandard

from imagebuild.cli.target import target
from imagebuild.errors import UsageError
from imagebuild.files import sha256
from imagebuild.machine.domain_xml import definition
from imagebuild.store.artifact import Artifact
from imagebuild.verify import clone_disks, clone_xml, registry, subjects
from imagebuild.verify.check import CheckCall
from imagebuild.verify.subject import SubjectDisk
from imagebuild.verify.subjects import artifact_subject, image_subject
from tests.recipe.recipes import recipe


def image(path: Path, size: str = "1M", fmt: str = "qcow2", *options: str) -> Path:
    """An empty disk, with the signature of a boot sector if no ``options`` are given."""
    if options:
        subprocess.run(["qemu-img", "create", "-q", "-f", fmt, *options, path, size], check=True, timeout=60)
        return path
    raw = path.with_suffix(".boot")
    raw.write_bytes(bytes(510) + b"\x55\xaa")
    subprocess.run(["qemu-img", "resize", "-q", "-f", "raw", raw, size], check=True, timeout=60)
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", fmt, raw, path], check=True, timeout=60)
    raw.unlink()
    return path


def record(path: Path, **more: Any) -> dict[str, Any]:
    return {
        "file": path.name,
        "format": "qcow2",
        "size": path.lstat().st_size,
        "virtual_size": 1 << 20,
        "sha256": sha256(path) if path.is_file() else "",
        **more,
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An artifact with two disks, as a build writes it."""
    made = recipe("extra_disks: [{size: 1GiB}]\n")
    folder = tmp_path / "artifacts" / "small" / "2026-11-29.1"
    folder.mkdir(parents=True)
    (folder.parent / "latest").symlink_to(folder.name)
    first, second = image(folder / "small.qcow2"), image(folder / "small-disk2.qcow2")
    (folder / "small.raw").write_bytes(bytes(4096))
    (folder / "small.xml").write_text(definition(made))
    put(
        folder,
        name="small",
        version="2026-11-29.1",
        fingerprint="cd" * 32,
        image=record(first),
        extra_images=[record(second)],
        other_formats=[record(folder / "small.raw", format="raw")],
        checks=[{"swap-off": {}}, {"packages": {"installed": ["vim"]}}],
        recipe={"os": {"family": "debian"}},
        packages={"qemu-guest-agent": "7.2"},
    )
    return folder


def put(folder: Path, **content: Any) -> None:
    path = folder / "manifest.json"
    before = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**before, **content}))


def artifact(folder: Path) -> Artifact:
    return Artifact(folder, "small", "2026-11-29.1")


def test_an_artifact(folder: Path) -> None:
    found = artifact_subject(artifact(folder))
    assert found.name == "small 2026-11-29.1"
    assert [(disk.path.name, disk.format) for disk in found.disks] == [
        ("small.qcow2", "qcow2"),
        ("small-disk2.qcow2", "qcow2"),
    ]
    assert [call.name for call in found.checks] == ["swap-off", "packages"]
    assert (found.agent, found.old_cpu, found.sha256, found.grows, found.notes) == (
        True,
        True,
        sha256(found.disks[0].path),
        0,
        (),
    )
    assert found.machine.tag == "domain"


def test_a_manifest_says_whether_there_is_cloud_init(folder: Path) -> None:
    assert artifact_subject(artifact(folder)).cloud_init is False
    put(folder, packages={"cloud-init": "25.1.4"})
    assert artifact_subject(artifact(folder)).cloud_init is True
    put(folder, packages=None)
    assert artifact_subject(artifact(folder)).cloud_init is None


def test_checks_that_are_given_replace_those_of_the_manifest(folder: Path) -> None:
    given = [registry.call("root-file-system", {"grown": True})]
    found = artifact_subject(artifact(folder), given)
    assert found.checks == given
    assert found.grows == subjects.GROWN
    assert artifact_subject(artifact(folder), ()).checks == []


def test_a_manifest_without_checks_gets_the_general_ones(folder: Path) -> None:
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    del content["checks"]
    path.write_text(json.dumps(content))
    assert artifact_subject(artifact(folder), otherwise=CALLS).checks == list(CALLS)
    put(folder, checks=[])
    assert artifact_subject(artifact(folder), otherwise=CALLS).checks == []


def test_another_family_runs_on_a_newer_cpu_and_has_no_usable_agent(folder: Path) -> None:
    put(folder, recipe={"os": {"family": "redhat"}})
    found = artifact_subject(artifact(folder))
    assert (found.agent, found.old_cpu) == (False, False)
    for odd in ("text", [], {"os": []}, None):
        put(folder, recipe=odd, packages=odd)
        assert not artifact_subject(artifact(folder)).agent


def test_an_image_that_was_changed_since(folder: Path) -> None:
    path = folder / "small.qcow2"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(UsageError, match="its SHA-256 differs"):
        artifact_subject(artifact(folder))


@pytest.mark.parametrize("size", [3 << 20, (3 << 20) - 512])
def test_a_compressed_raw_disk_is_unpacked_up_to_its_size(tmp_path: Path, size: int) -> None:
    content = bytes(1 << 20) + os.urandom(1 << 20) + bytes(1 << 20)
    packed = tmp_path / "small.raw.zst"
    frames = (content[at : at + (1 << 20)] for at in range(0, len(content), 1 << 20))
    packed.write_bytes(b"".join(zstandard.compress(frame) for frame in frames))
    disk = SubjectDisk(packed, "raw.zst", size)
    if size < len(content):
        with pytest.raises(UsageError, match="is larger than its disk"):
            clone_disks.readable([disk], tmp_path, os.geteuid())
        return
    (made,) = clone_disks.readable([disk], tmp_path, os.geteuid())
    assert (made.format, made.path.read_bytes()) == ("raw", content)


def test_a_compressed_raw_disk_that_is_damaged(tmp_path: Path) -> None:
    packed = tmp_path / "small.raw.zst"
    packed.write_bytes(b"\x28\xb5\x2f\xfd" + bytes(100))
    with pytest.raises(UsageError, match="is damaged"):
        clone_disks.readable([SubjectDisk(packed, "raw.zst", 1 << 20)], tmp_path, os.geteuid())


WRONG_MANIFESTS: dict[str, tuple[dict[str, Any], str]] = {
    "no image": ({"image": None}, "is no manifest"),
    "an image without size": ({"image": {"file": "small.qcow2"}}, "is no manifest"),
    "a size that is no number": ({"image": {"file": "small.qcow2", "size": "x"}}, "is no manifest"),
    "another size": ({"image": {"file": "small.qcow2", "size": 5}}, "its size differs"),
    "a missing file": ({"image": {"file": "other.qcow2", "size": 5}}, "other.qcow2 is missing"),
    "a path upwards": ({"image": {"file": "../../../../etc/shadow", "size": 5, "format": "raw"}}, "cannot be booted"),
    "an absolute path": ({"image": {"file": "/etc/passwd", "size": 5, "format": "raw"}}, "cannot be booted"),
    "the folder": ({"image": {"file": "..", "size": 5, "format": "raw"}}, "is not the image"),
    "no name": ({"image": {"file": "", "size": 5, "format": "raw"}}, "is not the image"),
    "a compressed format": ({"image": {"file": "small.qcow2", "size": 5, "format": "raw.zst"}}, "its size differs"),
    "a protocol": ({"image": {"file": "small.qcow2", "size": 5, "format": "nbd"}}, "cannot be booted"),
    "an unknown check": ({"checks": [{"swap-on": {}}]}, "lists checks that this version does not know"),
    "an unknown parameter": ({"checks": [{"swap-off": {"x": 1}}]}, "lists checks that this version does not know"),
    "parameters that are a text": ({"checks": [{"swap-off": "abc"}]}, "lists checks"),
    "parameters that are a list": ({"checks": [{"swap-off": [1]}]}, "lists checks"),
    "checks that are a text": ({"checks": "swap-off"}, "lists checks"),
    "checks that are a number": ({"checks": 5}, "lists checks"),
    "a check that is a name": ({"checks": ["swap-off"]}, "lists checks"),
    "a script of this host": ({"checks": [{"script": {"file": "/etc/shadow"}}]}, "names a file on this host"),
    "tests on this host": ({"checks": [{"testinfra": {"file": "/tmp/tests.py"}}]}, "names a file on this host"),
    "tests": ({"checks": [{"testinfra": {"text": "import os"}}]}, "contains tests that would run on this host"),
    "tests after others": (
        {"checks": [{"testinfra": {"sha256": "ab" * 32}, "swap-off": {}}, {"testinfra": {"text": "import os"}}]},
        "contains tests that would run on this host",
    ),
    "tests and their digest": ({"checks": [{"testinfra": {"text": "x", "sha256": "ab" * 32}}]}, "lists checks"),
}


@pytest.mark.parametrize(("change", "problem"), WRONG_MANIFESTS.values(), ids=WRONG_MANIFESTS)
def test_a_hostile_manifest_is_refused(folder: Path, change: dict[str, Any], problem: str) -> None:
    put(folder, **change)
    with pytest.raises(UsageError, match=problem):
        artifact_subject(artifact(folder))


@pytest.mark.parametrize("text", ["", "{", "[]", "5", "\xff", "[" * 200_000, '{"image": ' * 100_000, "NaN"])
def test_what_is_no_manifest(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text(text, encoding="latin-1")
    with pytest.raises(UsageError, match="is no manifest"):
        artifact_subject(artifact(folder))


def test_a_manifest_that_is_too_large_or_missing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subjects, "_LONGEST", 10)
    with pytest.raises(UsageError, match="too large"):
        artifact_subject(artifact(folder))
    (folder / "manifest.json").unlink()
    with pytest.raises(UsageError, match="is missing"):
        artifact_subject(artifact(folder))
    (folder / "manifest.json").mkdir()
    with pytest.raises(UsageError, match="it is not a regular file"):
        artifact_subject(artifact(folder))


@pytest.mark.parametrize("name", ["manifest.json", "small.xml"])
def test_a_pipe_beside_an_image_makes_nobody_wait(folder: Path, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(UsageError, match="it is not a regular file"):
        artifact_subject(artifact(folder))


def test_an_image_that_is_a_link(folder: Path, tmp_path: Path) -> None:
    (folder / "small.qcow2").rename(tmp_path / "elsewhere.qcow2")
    (folder / "small.qcow2").symlink_to(tmp_path / "elsewhere.qcow2")
    put(folder, image=record(tmp_path / "elsewhere.qcow2", file="small.qcow2"))
    with pytest.raises(UsageError, match="is not the image of the manifest"):
        artifact_subject(artifact(folder))


def test_an_image_that_names_other_files(folder: Path) -> None:
    (folder / "small.qcow2").unlink()
    image(folder / "small.qcow2", "1M", "qcow2", "-u", "-b", "/etc/shadow", "-F", "raw")
    put(folder, image=record(folder / "small.qcow2"))
    with pytest.raises(UsageError, match="/etc/shadow"):
        artifact_subject(artifact(folder))


VMDK = """\
# Disk DescriptorFile
version=1
CID=fffffffe
parentCID=ffffffff
createType="monolithicFlat"

RW 2048 FLAT "/etc/shadow" 0
"""


def test_a_vmdk_that_names_other_files(folder: Path) -> None:
    path = folder / "small.vmdk"
    path.write_text(VMDK)
    put(folder, image=record(path, format="vmdk"), extra_images=[])
    with pytest.raises(UsageError, match="reads its content from other files"):
        artifact_subject(artifact(folder))
    path.unlink()
    image(path, "1M", "vmdk", "-o", "subformat=streamOptimized")
    put(folder, image=record(path, format="vmdk"))
    assert [disk.format for disk in artifact_subject(artifact(folder)).disks] == ["vmdk"]


def test_the_definition_beside_an_artifact(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "small.xml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="is not UTF-8"):
        artifact_subject(artifact(folder))
    path.write_text("<domain type='kvm'/>")
    assert [disk.path.name for disk in artifact_subject(artifact(folder)).disks] == ["small.qcow2"]
    monkeypatch.setattr(clone_xml, "LONGEST", 10)
    with pytest.raises(UsageError, match="as a domain definition: it is too large"):
        artifact_subject(artifact(folder))
    path.unlink()
    with pytest.raises(UsageError, match=r"small\.xml is missing"):
        artifact_subject(artifact(folder))
    path.mkdir()
    with pytest.raises(UsageError, match="it is not a regular file"):
        artifact_subject(artifact(folder))


# Image files.

CALLS: tuple[CheckCall, ...] = ()


def partitioned(path: Path, table: str, fmt: str) -> Path:
    raw = path.with_suffix(".raw")
    raw.write_bytes(b"")
    os.truncate(raw, 8 << 20)
    subprocess.run(["sfdisk", "-q", raw], input=table, text=True, check=True, timeout=60, capture_output=True)
    if fmt == "raw":
        return raw
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", fmt, raw, path], check=True, timeout=60)
    return path


TABLES = {
    "MBR": ("label: dos\n,,L,*\n", "bios"),
    "GPT with an ESP": ("label: gpt\n1M,1M,U\n,,L\n", "uefi"),
    "GPT with an ESP behind": ("label: gpt\n1M,1M,L\n,1M,L\n,1M,U\n", "uefi"),
    "GPT with both": ("label: gpt\n1M,1M,21686148-6449-6E6F-744E-656564454649\n,1M,U\n,,L\n", "bios"),
    "GPT without": ("label: gpt\n1M,,L\n", "bios"),
}


@pytest.mark.parametrize("fmt", ["raw", "qcow2"])
@pytest.mark.parametrize(("table", "firmware"), TABLES.values(), ids=TABLES)
def test_the_firmware_follows_from_the_partitions(tmp_path: Path, table: str, firmware: str, fmt: str) -> None:
    path = partitioned(tmp_path / "cloud.qcow2", table, fmt)
    found = image_subject(path, CALLS)
    system = found.machine.find("os")
    assert system is not None
    assert (system.get("firmware") == "efi") == (firmware == "uefi")
    assert found.notes == (f"on a usual machine with {firmware}: the image has no domain definition",)
    assert [(disk.path, disk.format) for disk in found.disks] == [(path, fmt)]
    assert (len(found.sha256), found.name, found.agent, found.old_cpu) == (64, path.name, False, False)


def test_firmware_memory_and_machine_can_be_given(tmp_path: Path) -> None:
    path = image(tmp_path / "x.qcow2")
    found = image_subject(path, CALLS, firmware="uefi-secure", memory=1 << 30)
    loader = found.machine.find("os/loader")
    assert loader is not None
    assert loader.get("secure") == "yes"
    assert found.machine.findtext("memory") == str(1 << 20)
    (tmp_path / "m.xml").write_text(definition(recipe("machine: {memory: 3GiB}\n")))
    own = image_subject(path, CALLS, machine=tmp_path / "m.xml")
    assert own.machine.findtext("memory") == str(3 << 20)
    assert own.notes == ()


def test_a_file_without_a_boot_sector_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "x.raw").write_bytes(b"\0" * 4096)
    with pytest.raises(UsageError, match="has no boot sector"):
        image_subject(tmp_path / "x.raw", CALLS)


def test_an_image_may_be_too_small_for_a_partition_table(tmp_path: Path) -> None:
    (tmp_path / "x.raw").write_bytes(b"x" * 510 + b"\x55\xaa" + b"x" * 88)
    assert image_subject(tmp_path / "x.raw", CALLS).notes[0].startswith("on a usual machine with bios")


@pytest.mark.parametrize(
    ("content", "given", "problem"),
    [
        (b"", None, "is empty"),
        (b"PK\x03\x04" + bytes(600), None, "zip archive"),
        (b"\x28\xb5\x2f\xfd" + bytes(600), None, "compressed with zstd"),
        (VMDK.encode(), None, "vmdk"),
        (bytes(600), "qcow2", "qcow2"),
        (b"QFI\xfb" + bytes(20), None, "qcow2"),
    ],
)
def test_image_files_that_are_refused(tmp_path: Path, content: bytes, given: Any, problem: str) -> None:
    path = tmp_path / "x.img"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=problem):
        image_subject(path, CALLS, given=given)


def test_an_image_that_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        image_subject(tmp_path / "none", CALLS)
    with pytest.raises(UsageError, match="is not a file"):
        image_subject(tmp_path, CALLS)


def test_a_grown_file_system_needs_a_larger_disk(tmp_path: Path) -> None:
    path = image(tmp_path / "x.qcow2")
    assert image_subject(path, [registry.call("root-file-system", {"grown": True})]).grows == subjects.GROWN
    assert image_subject(path, [registry.call("root-file-system")]).grows == 0


# What IMAGE names.


def test_ways_to_name_an_artifact(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = folder.parents[1]
    names = ["small", str(folder), str(folder.parent), str(folder / "small.qcow2"), str(folder.parent / "latest")]
    for name in names:
        assert target(name, output) == Artifact(folder.resolve(), "small", "2026-11-29.1"), name
    monkeypatch.chdir(folder)
    assert target(".", output) == Artifact(folder.resolve(), "small", "2026-11-29.1")


def test_other_files_of_an_artifact_are_images(folder: Path, tmp_path: Path) -> None:
    assert target(str(folder / "small-disk2.qcow2"), tmp_path) == folder / "small-disk2.qcow2"
    copy = image(tmp_path / "copy.qcow2")
    assert target(str(copy), tmp_path) == copy


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("smal", "neither a file nor a folder"),
        ("../small", "neither a file nor a folder"),
        ("debian-13", "has no finished artifact"),
        ("", "has no manifest|neither"),
    ],
)
def test_names_of_nothing(
    folder: Path, name: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=problem) as refused:
        target(name, folder.parents[1])
    if name == "smal":
        assert "small" in refused.value.hint


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "", "-x", ".", 5, None, "a\nb"])
def test_a_manifest_with_a_name_that_is_none(folder: Path, name: Any) -> None:
    put(folder, name=name)
    with pytest.raises(UsageError, match="cannot be used"):
        target(str(folder), folder.parents[1])


@pytest.mark.parametrize("text", ["", "[]", "5", "{}", '{"name": "x"}', "[" * 200_000])
def test_a_folder_with_a_damaged_manifest(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text(text)
    with pytest.raises(UsageError, match="cannot be used"):
        target(str(folder), folder.parents[1])


def test_an_image_that_a_manifest_misplaces(folder: Path) -> None:
    put(folder, image={"file": "../../../other", "size": 1})
    (folder / "other.qcow2").write_bytes(b"x")
    assert target(str(folder / "other.qcow2"), folder.parents[1]) == folder / "other.qcow2"
    for text in ('{"name": "x", "version": "1", "image": null}', '{"name": "a web page"}', "no JSON"):
        (folder / "manifest.json").write_text(text)
        assert target(str(folder / "other.qcow2"), folder.parents[1]) == folder / "other.qcow2"
