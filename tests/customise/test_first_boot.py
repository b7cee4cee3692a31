"""What starts a script at the first boot, run by a real shell: it is repeated until the script has
succeeded."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from imagebuild.customise import registry
from imagebuild.customise.runner import apply_one
from tests.operations.memory import FOLDER, MemoryDisk, Node, with_folders

SCRIPT = "#!/bin/sh\necho said\ntest -e /etc/ready\n"
FAMILIES = {
    "openrc": ({"/etc/init.d/local": Node("file", 0o755, b""), "/etc/runlevels/default": FOLDER},
        "/etc/local.d/first-boot-join.start", []),
    "rhel-6": ({"/etc/rc.d/rc3.d": FOLDER, "/etc/rc.d/init.d": FOLDER}, "/etc/rc.d/rc3.d/S99first-boot-join",
        ["start"]),
}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_it_removes_itself_when_the_script_has_ended_well(family: str, tmp_path: Path) -> None:
    before, starter, words = FAMILIES[family]
    disk = MemoryDisk(with_folders(before))
    apply_one(disk, registry.call("run-at-first-boot", {"name": "join", "text": SCRIPT}))
    ours = {path for path in disk.tree if "first-boot" in path}
    unpack(disk, tmp_path)
    (tmp_path / "var/log").mkdir(parents=True)

    def boot() -> set[str]:
        subprocess.run([f"{tmp_path}{starter}", *words], check=False)
        return {path for path in ours if (tmp_path / path[1:]).is_symlink() or (tmp_path / path[1:]).exists()}

    assert boot() == ours
    assert (tmp_path / "var/log/first-boot-join.log").read_text() == "said\n"
    (tmp_path / "etc/ready").touch()
    assert boot() == set()


def unpack(disk: MemoryDisk, root: Path) -> None:
    """Write the guest's files below ``root``, which represents / in its scripts."""
    for path, node in sorted(disk.tree.items()):
        real = root / path[1:]
        if node.kind == "dir":
            real.mkdir()
        elif node.kind == "symlink":
            real.symlink_to(node.content.decode())
        else:
            real.write_text(re.sub(r"(?<![\w.])/(?=(etc|usr|var)/)", f"{root}/", node.content.decode()))
            real.chmod(node.mode)
