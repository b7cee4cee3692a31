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
