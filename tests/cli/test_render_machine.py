"""`imagebuild render --command`, `--domain` and `--into`."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from imagebuild.cli.main import cli
from imagebuild.errors import HostError, UsageError
from tests.machine.test_shipped_machines import pasted
from tests.recipe.recipes import MINIMAL
from tests.virt_install_parser import connection, parsed

MORE = """\
installer: {mirror: "http://mirror.example/debian"}
machine: {vcpus: 4, networks: [{type: bridge, bridge: br0}]}
vm: {virt_type: qemu, memory: 2GiB}
extra_disks: [{size: 1GiB}]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "small.yaml").write_text(MINIMAL + MORE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMAGEBUILD_STORE", str(tmp_path / "store"))
    return tmp_path


def render(*words: str) -> Result:
    return CliRunner().invoke(cli, ["render", "small", *words])


def test_the_domain_definition(folder: Path) -> None:
    domain = ET.fromstring(render("--domain").output)
    assert (domain.findtext("name"), domain.findtext("vcpu")) == ("small", "4")
    files = [source.attrib["file"] for source in domain.findall("devices/disk/source")]
    assert files == ["/var/lib/libvirt/images/small.qcow2", "/var/lib/libvirt/images/small-disk2.qcow2"]


def test_the_domain_definition_of_a_copy(folder: Path) -> None:
    domain = ET.fromstring(render("--domain", "--name", "web & co", "--images", "my images").output)
    assert domain.findtext("name") == "web & co"
    source = domain.find("devices/disk/source")
    assert source is not None
    assert source.attrib["file"] == f"{folder}/my images/small.qcow2"


def test_name_and_images_require_domain(folder: Path) -> None:
    assert isinstance(render("--name", "web1").exception, UsageError)
    assert isinstance(render("--command", "--images", "/srv").exception, UsageError)


@pytest.mark.seconds
def test_the_command_can_be_pasted_and_names_the_files_of_into(folder: Path) -> None:
    words = pasted(render("--command", "--into", "by hand").output)
    assert words[0] == "virt-install"
    place = folder / "by hand"
    place.mkdir()
    for name in ("disk.raw", "disk2.raw", "payload", "ks.cfg", "tree/install.img", "tree/vmlinuz", "tree/initrd.img"):
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_bytes(b"\\0" * 512)
    (place / "tree/images").mkdir()
    (place / "tree/images/install.img").write_bytes(b"\\0" * 512)
    (place / "tree/.treeinfo").write_text(
        "[general]\nfamily = kickstrap\nversion = 13\narch = x86_64\n[tree]\narch = x86_64\n"
        "[images-x86_64]\nkernel = vmlinuz\ninitrd = initrd.img\n"
    )
    words[words.index("--connect") + 1] = connection(folder)
    domain = parsed(words)
    files = [source.attrib["file"] for source in domain.findall("devices/disk/source")]
    assert files == [str(place / name) for name in ("disk.raw", "disk2.raw", "tree/images/install.img", "payload")]
    assert domain.findtext("memory") == str(2 * 1024**2)


def test_in_the_vm_there_is_no_archive(folder: Path) -> None:
    assert "payload" in render("--command").output
    assert "serial=payload" not in render("--command", "--payload", "in-vm").output


def test_into_needs_what_a_build_makes(folder: Path) -> None:
    refused = render("--into", str(folder / "by-hand")).exception
    assert isinstance(refused, HostError)
    assert "the install tree of small is not in the store" in refused.message
    assert refused.hint == "run `imagebuild build small`"
    assert not (folder / "by-hand").exists()
