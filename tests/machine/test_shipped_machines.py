"""The virt-install command of every shipped image: a golden file, pasted into a shell, understood
by virt-install.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from imagebuild.build import export
from imagebuild.recipe.folders import available, shipped
from imagebuild.recipe.load import load_all
from imagebuild.recipe.model.recipe import Recipe
from tests.virt_install_parser import connection, parsed

GOLDEN = Path(__file__).parents[1] / "recipes" / "golden"
FOLDER = Path("/var/tmp/by-hand")
RECIPES = [recipe for path in available([Path(str(shipped("recipes")))]).values() for recipe in load_all(path)]


def pasted(command: str) -> list[str]:
    """The words of a command as a shell parses them."""
    said = subprocess.run(["sh", "-c", f"printf '%s\\0' {command}"], capture_output=True, text=True, check=True)
    return said.stdout.split("\0")[:-1]


@pytest.mark.seconds
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_virt_install_command(
    recipe: Recipe, golden: Callable[[Path, str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imagebuild.host.hypervisor.default_uri", lambda: "qemu:///system")
    golden(GOLDEN / recipe.name / "virt-install", export.command(recipe, FOLDER, "kvm"))
    for name in ("tree/images/pxeboot/vmlinuz", "tree/images/pxeboot/initrd.img", "tree/images/install.img", "ks.cfg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"\0" * 512)
    (tmp_path / "tree/.treeinfo").write_text(
        "[general]\nfamily = kickstrap\nversion = 13\narch = x86_64\n[tree]\narch = x86_64\n[images-x86_64]\n"
        "kernel = images/pxeboot/vmlinuz\ninitrd = images/pxeboot/initrd.img\n"
    )
    for name in ("payload", "medium.iso", "disk.raw", *(f"disk{number}.raw" for number in range(2, 9))):
        (tmp_path / name).write_bytes(b"\0" * 512)
    words = pasted(export.command(export.as_known_here(recipe), tmp_path, "kvm"))
    words[words.index("--connect") + 1] = connection(tmp_path)
    domain = parsed(words)
    assert domain.findtext("vcpu") == str(recipe.vm.vcpus.maximum)
    assert next(disk.attrib["file"] for disk in domain.findall("devices/disk/source")) == str(tmp_path / "disk.raw")
