"""Every shipped image: what is rendered from its recipe, and the house rules that all of them
follow.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from pykickstart import constants

from imagebuild.build import export
from imagebuild.build import plan as plans
from imagebuild.customise import registry
from imagebuild.kickstart import syntax
from imagebuild.kickstart.check import ParsedKickstart, check
from imagebuild.kickstart.rendered import Rendered
from imagebuild.kickstrap.agent import supported
from imagebuild.kickstrap.mirror import Mirror
from imagebuild.machine.domain_xml import definition
from imagebuild.machine.virt_install import command
from imagebuild.recipe.catalogue import catalogue
from imagebuild.recipe.folders import shipped
from imagebuild.recipe.load import load
from imagebuild.recipe.model.recipe import Recipe
from tests.virt_install_parser import real

GOLDEN = Path(__file__).parent / "golden"
PAGE = Path(__file__).parents[2] / "docs" / "images.md"
MIRROR = Mirror("http://mirror.example/debian")
FOLDER = shipped("recipes")
assert FOLDER is not None
IMAGES = [listed.name for listed in catalogue([FOLDER])]
EXPECTED = {
    "rocky-9", "rocky-10", "almalinux-9", "almalinux-10", "centos-stream-9", "centos-stream-10", "fedora-45",
    "centos-7",
    "debian-12", "debian-12-server", "debian-13", "debian-13-server",
}  # fmt: skip
BASE = {"lrzsz", "net-tools", "screen", "tree"}
SYNTAX = {"centos-7": "RHEL7", "fedora-45": "F45"}
TREEINFO = """\
[general]
family = kickstrap
version = 13
arch = x86_64
[tree]
arch = x86_64
[images-x86_64]
kernel = images/pxeboot/vmlinuz
initrd = images/pxeboot/initrd.img
"""
every_image = pytest.mark.parametrize("name", IMAGES)


@cache
def recipe(name: str) -> Recipe:
    assert FOLDER is not None
    return load(name, search=[FOLDER])


@cache
def rendered(name: str) -> Rendered:
    return plans.sample(recipe(name), MIRROR)


@cache
def kickstart(name: str) -> ParsedKickstart:
    made = recipe(name)
    ours = supported.check if made.installer.type == "kickstrap" else None
    return check(rendered(name), version=syntax.of(made).name, supported=ours)


def test_the_expected_images_exist() -> None:
    assert set(IMAGES) == EXPECTED
    assert len(IMAGES) == len(EXPECTED)


def test_no_golden_file_is_left_over() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == EXPECTED


@every_image
def test_the_kickstart(name: str, golden: Callable[[Path, str], None]) -> None:
    golden(GOLDEN / name / "kickstart.ks", rendered(name).text)


@every_image
def test_the_domain_definition(name: str, golden: Callable[[Path, str], None]) -> None:
    text = definition(recipe(name))
    golden(GOLDEN / name / "domain.xml", text)
    done = subprocess.run(["virt-xml-validate", "-", "domain"], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.seconds
@every_image
def test_the_real_virt_install_accepts_the_command(name: str, tmp_path: Path) -> None:
    """The real program with libvirt's test driver, which supports one architecture, one type and no
    UEFI.
    """
    machine = export.machine(export.as_known_here(recipe(name)), tmp_path, "qemu")
    argv = command(replace(machine, connect="test:///default", firmware="bios", nvram=None))
    for option, known in (("--virt-type", "test"), ("--arch", "i686")):
        argv[argv.index(option) + 1] = known
    del argv[argv.index("--machine") : argv.index("--machine") + 2]
    for file in ("tree/images/pxeboot/vmlinuz", "tree/images/pxeboot/initrd.img", "tree/images/install.img"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(b"\0" * 512)
    (tmp_path / "tree/.treeinfo").write_text(TREEINFO)
    for file in ("ks.cfg", "payload", "medium.iso", "disk.raw"):
        (tmp_path / file).write_bytes(b"\0" * 512)
    domain = real(argv)
    assert domain.findtext("name") == f"imagebuild-{name}"
    assert domain.findtext("memory") == str(recipe(name).vm.memory.maximum // 1024)
    assert "inst.ks=file:/ks.cfg" in str(domain.findtext("os/cmdline")).split()


@every_image
def test_its_installer_understands_it(name: str) -> None:
    """Checked against the syntax of the installing release, or against kickstrap's list, without
    any warning.
    """
    major = recipe(name).os.major
    if recipe(name).installer.type == "anaconda":
        assert syntax.of(recipe(name)).name == SYNTAX.get(name, f"RHEL{major}")
    assert syntax.of(recipe(name)).note is None
    assert kickstart(name).warnings == ()


@every_image
def test_one_root_file_system_and_no_swap(name: str) -> None:
    parts = kickstart(name).handler.partition.partitions
    assert [part.mountpoint for part in parts] == ["/"]
    assert parts[0].grow
    for other in ("logvol", "volgroup", "raid", "btrfs", "autopart"):
        found = getattr(kickstart(name).handler, other, None)
        assert found is None or not found.seen
    assert "swap" not in rendered(name).text


@every_image
def test_selinux_and_firewall_are_off(name: str) -> None:
    handler = kickstart(name).handler
    assert handler.selinux.selinux == constants.SELINUX_DISABLED
    assert handler.firewall.enabled is False
    assert {"disable-selinux", "disable-firewall"} <= {call.name for call in recipe(name).operations}


@every_image
def test_the_base_packages_are_there(name: str) -> None:
    packages = set(kickstart(name).packages)
    assert packages >= BASE
    assert len(packages & {"vim", "vim-enhanced"}) == 1
    assert len(packages & {"wget", "wget2-wget"}) == 1
    assert "qemu-guest-agent" in packages
    assert not packages & set(kickstart(name).excluded)


@every_image
def test_the_interface_is_eth0_on_any_hardware(name: str) -> None:
    arguments = kickstart(name).handler.bootloader.appendLine.split()
    assert {"net.ifnames=0", "biosdevname=0"} <= set(arguments)
    assert [argument for argument in arguments if argument.startswith("console=")] == [
        "console=tty0", "console=ttyS0,115200n8",
    ]  # fmt: skip
    (network,) = kickstart(name).handler.network.network
    assert (network.device, network.bootProto, network.onboot) == ("eth0", "dhcp", True)


@every_image
def test_nothing_names_one_machine(name: str) -> None:
    text = rendered(name).text
    assert not re.search(r"UUID|HWADDR|([0-9a-f]{2}:){5}[0-9a-f]{2}", text, re.IGNORECASE)
    operations = {call.name for call in recipe(name).operations}
    assert operations >= {*registry.HOUSE_RULES, *registry.TEMPLATE}


@every_image
def test_it_powers_off_and_reports_success(name: str) -> None:
    handler = kickstart(name).handler
    assert handler.reboot.action == constants.KS_SHUTDOWN
    assert all(script.errorOnFail for script in handler.scripts)
    assert "success" in handler.scripts[-1].script
    assert handler.displaymode.displayMode == constants.DISPLAY_MODE_CMDLINE
    assert handler.rootpw.lock


@every_image
def test_everything_fetched_is_verified(name: str) -> None:
    made = recipe(name)
    assert made.installer.insecure is False
    if made.installer.type == "anaconda":
        assert made.installer.source is not None
        assert str(made.installer.source.tree).startswith("https://")
        assert not re.search(r"\bhttp://", rendered(name).text)


@every_image
def test_nobody_can_log_in(name: str) -> None:
    """A shipped recipe contains no password, no key and no digest."""
    made = recipe(name)
    assert (made.root.password, made.root.ssh_keys, made.users) == (None, (), ())
    files = [Path(FOLDER, *path.relative_to(FOLDER).parts) for path in FOLDER.rglob("*.yaml")]  # type: ignore[union-attr,arg-type]
    assert not any(re.search(r"[0-9a-fA-F]{32}", path.read_text(encoding="utf-8")) for path in files)


def table() -> str:
    """The table in docs/images.md: each image with its installer, its source and its syntax."""
    rows = ["| image | installer | source | syntax |", "|---|---|---|---|"]
    for name in IMAGES:
        made = recipe(name)
        source = made.installer.source
        where = f"tree, `{source.tree}`" if source else f"Debian {made.os.codename}, the host's mirror"
        rows.append(f"| `{name}` | {made.installer.type} | {where} | {syntax.of(made).name} |")
    return "\n".join(rows) + "\n"


def test_the_manual_shows_all_of_them(golden: Callable[[Path, str], None]) -> None:
    text = PAGE.read_text(encoding="utf-8")
    begin, end = re.search(r"<!-- images: begin .*? -->\n", text), text.index("<!-- images: end -->")
    assert begin is not None
    golden(PAGE, text[: begin.end()] + table() + text[end:])


def test_the_manuals_example_is_a_recipe(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "web.yaml").write_text(example, encoding="utf-8")
    assert FOLDER is not None
    assert load(tmp_path / "web.yaml", search=[FOLDER]).name == "web-9"
