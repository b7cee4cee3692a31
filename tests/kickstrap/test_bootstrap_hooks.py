"""The time of the initramfs is set while packages are installed, and nothing of that is left."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from imagebuild.kickstrap.bootstrap import Bootstrap, command

EPOCH = "etc/initramfs-tools/conf.d/imagebuild-epoch"


def hooks(kind: str) -> list[str]:
    argv = command(Bootstrap("trixie"), Path("root.tar"), None, Path("keyring"), "root")
    return [word.partition("=")[2] for word in argv if word.startswith(f"--{kind}-hook=")]


def run(kind: str, root: Path) -> None:
    for hook in hooks(kind):
        subprocess.run(["sh", "-c", hook, "sh", root], check=True, cwd="/")


@pytest.mark.parametrize("initramfs", [True, False])
def test_the_epoch_is_there_for_a_while(tmp_path: Path, initramfs: bool) -> None:
    run("setup", tmp_path)
    assert (tmp_path / EPOCH).read_text() == "SOURCE_DATE_EPOCH=1\n"
    if initramfs:
        (tmp_path / "usr/sbin").mkdir(parents=True)
        (tmp_path / "usr/sbin/mkinitramfs").touch()
    (tmp_path / "etc/apt").mkdir(parents=True)
    run("customize", tmp_path)
    assert (tmp_path / EPOCH).parent.exists() == initramfs, "the package's own folder stays"
    assert not (tmp_path / EPOCH).exists()
    assert (tmp_path / "etc/apt").exists()


def test_an_initramfs_is_made_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before, mkinitramfs only makes an empty file; what is not empty came with the root and is still right."""
    root, programs = tmp_path / "root", tmp_path / "bin"
    for folder in (root / "boot", root / "usr/sbin", root / "etc/apt", programs):
        folder.mkdir(parents=True)
    run("setup", root)
    later = root / "etc/initramfs-tools/conf.d/imagebuild-later"
    (root / "usr/sbin/mkinitramfs").touch()
    mkinitramfs = f'outfile=$1; for file in {later.parent}/*; do . "$file"; done; echo made > "$outfile"'
    subprocess.run(["sh", "-ec", mkinitramfs, "sh", root / "boot/initrd.img-2"], check=True)
    assert (root / "boot/initrd.img-2").read_bytes() == b""
    (root / "boot/initrd.img-1").write_text("there already")
    program = programs / "chroot"
    program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/ran\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    run("customize", root)
    assert (tmp_path / "ran").read_text() == f"{root} update-initramfs -c -k 2\n"
    assert not later.exists()
