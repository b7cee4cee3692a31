"""The install tree in a real machine: it starts, or prints the reason on one line, and always
powers off.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from imagebuild.host.accelerator import EMULATED_KERNEL_ARGUMENTS
from imagebuild.kernel import cpio
from imagebuild.kickstrap import runtime
from imagebuild.kickstrap.mirror import host_mirror
from imagebuild.progress import SILENT

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800)]
KICKSTART = b"this is no kickstart\n"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runtime")
    runtime.build_base(runtime.RuntimeSpec("trixie", host_mirror()), folder / "base", SILENT)
    runtime.build_tree(folder / "base", folder / "tree")
    return folder / "tree"


def _boot(tree: Path, tmp_path: Path, *, kickstart: bytes | None = KICKSTART, stage2: bool = True) -> list[str]:
    """The console lines of a machine that has powered off."""
    initrd = tmp_path / "initrd.img"
    with initrd.open("wb") as out:
        out.write((tree / "images/pxeboot/initrd.img").read_bytes())
        if kickstart is not None:
            cpio.write([cpio.file("ks.cfg", kickstart)], out)
    (tmp_path / "target.raw").touch()
    os.truncate(tmp_path / "target.raw", 1 << 30)
    disks = [(tmp_path / "target.raw", "target", "off")]
    if stage2:
        disks.append((tree / "images/install.img", "stage2", "on"))
    argv = ["qemu-system-x86_64", "-accel", "tcg", "-m", "1024", "-nodefaults", "-display", "none", "-serial", "stdio"]
    argv += ["-no-reboot", "-device", "virtio-rng-pci", "-kernel", str(tree / "images/pxeboot/vmlinuz")]
    argv += ["-initrd", str(initrd)]
    argv += [
        "-append",
        " ".join(("console=ttyS0,115200", "inst.ks=file:/ks.cfg", *EMULATED_KERNEL_ARGUMENTS, *runtime.KERNEL_ARGS)),
    ]
    for path, serial, readonly in disks:
        argv += ["-drive", f"file={path},if=none,id={serial},format=raw,readonly={readonly}"]
        argv += ["-device", f"virtio-blk-pci,drive={serial},serial={serial}"]
    ended = subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=300, check=True)
    return ended.stdout.splitlines()


def test_the_agent_starts_and_refuses_a_bad_kickstart(tree: Path, tmp_path: Path) -> None:
    lines = _boot(tree, tmp_path)
    assert "kickstrap: started" in lines
    assert any(line.startswith("kickstrap: failed: ") and "Unknown command: this" in line for line in lines)
    assert "Power down" in lines[-1]


def test_without_its_image(tree: Path, tmp_path: Path) -> None:
    lines = _boot(tree, tmp_path, stage2=False)
    assert any(line.startswith("kickstrap: failed: no disk has the serial number stage2") for line in lines)
    assert "Power down" in lines[-1]


def test_without_a_kickstart(tree: Path, tmp_path: Path) -> None:
    lines = _boot(tree, tmp_path, kickstart=None)
    assert "kickstrap: failed: there is no kickstart /ks.cfg in the initrd" in lines
    assert "Power down" in lines[-1]


def test_it_is_world_readable(tree: Path) -> None:
    modes = {path.stat().st_mode & 0o777 for path in tree.rglob("*") if path.is_file()}
    assert modes == {0o644}
    assert {path.stat().st_mode & 0o777 for path in (tree, *tree.rglob("*")) if path.is_dir()} == {0o755}
