"""``.treeinfo``, as configparser (which virt-install uses) reads it."""

from __future__ import annotations

import configparser

from imagebuild.kickstrap.agent.machine import firmware as named_firmware
from imagebuild.kickstrap.runtime import KERNEL_ARGS, base_sources, kernel_arguments, tree_sources, treeinfo


def test_virt_install_finds_kernel_initrd_and_image() -> None:
    read = configparser.ConfigParser()
    read.read_string(treeinfo("trixie", {"images/install.img": "ab" * 32}))
    assert read["general"]["family"]
    assert read["general"]["arch"] == "x86_64"
    section = f"images-{read['general']['arch']}"
    assert dict(read[section]) == {
        "kernel": "images/pxeboot/vmlinuz",
        "initrd": "images/pxeboot/initrd.img",
    }
    assert read["stage2"]["mainimage"] == "images/install.img"
    assert read["checksums"]["images/install.img"] == f"sha256:{'ab' * 32}"


def test_fingerprints_cover_the_agent_and_the_first_programs() -> None:
    names = {path.name for path in tree_sources()}
    assert {"init", "start", "__main__.py", "exceptions.py"} <= names
    assert {"runtime.py", "squashfs.py"} <= {path.name for path in base_sources()}
    assert all(path.is_file() for path in (*tree_sources(), *base_sources()))


def test_a_panic_ends_the_machine() -> None:
    assert "panic=-1" in KERNEL_ARGS


def test_the_agent_understands_the_kernel_arguments() -> None:
    for firmware in ("bios", "uefi", "uefi-secure"):
        assert named_firmware(" ".join(kernel_arguments(firmware))) == firmware
