"""Enabling and disabling units creates the same links as systemd's own systemctl."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from imagebuild.customise import registry
from imagebuild.customise.runner import apply_one
from tests.operations.memory import MemoryDisk, Node, with_folders

FOLDER = "/usr/lib/systemd/system"
CASES: dict[str, tuple[str, dict[str, str]]] = {
    "wanted by two": ("a.service", {"a.service": "WantedBy=multi-user.target graphical.target\n"}),
    "two lines": ("a.service", {"a.service": "WantedBy=multi-user.target\nRequiredBy=b.service\n", "b.service": ""}),
    "aliases": ("a.service", {"a.service": "Alias=b.service c.service\n"}),
    "others too": (
        "a.service",
        {"a.service": "WantedBy=multi-user.target\nAlso=a.socket b.service absent.path\n",
            "a.socket": "Also=a.service\nWantedBy=sockets.target\n", "b.service": ""},
    ),
    "only others": ("a.service", {"a.service": "Also=a.socket\n", "a.socket": "WantedBy=sockets.target\n"}),
    "an instance": ("a@one.service", {"a@.service": "WantedBy=multi-user.target\nDefaultInstance=two\n"}),
    "the instance of a template": ("a@.service", {"a@.service": "WantedBy=multi-user.target\nDefaultInstance=two\n"}),
    "a port that wants it": ("a.service", {"a.service": (
        "WantedBy=dev-virtio\\x2dports-org.qemu.guest_agent.0.d"
        "evice\n"
    )}),
}  # fmt: skip


@pytest.mark.skipif(shutil.which("systemctl") is None, reason="systemctl is not installed")
@pytest.mark.parametrize("case", CASES)
def test_as_systemctl_does_it(case: str, tmp_path: Path) -> None:
    unit, sections = CASES[case]
    texts = {name: f"[Service]\nExecStart=/bin/true\n\n[Install]\n{text}" for name, text in sections.items()}
    disk = MemoryDisk(with_folders({f"{FOLDER}/{name}": Node("file", 0o644, t.encode()) for name, t in texts.items()}))
    apply_one(disk, registry.call("enable-services", {"services": [unit]}))

    (tmp_path / FOLDER[1:]).mkdir(parents=True)
    for name, text in texts.items():
        (tmp_path / FOLDER[1:] / name).write_text(text)

    def both() -> tuple[dict[str, str], dict[str, str]]:
        ours = {path: node.content.decode() for path, node in disk.tree.items() if node.kind == "symlink"}
        return ours, {f"/{p.relative_to(tmp_path)}": str(p.readlink()) for p in tmp_path.rglob("*") if p.is_symlink()}

    def systemctl(what: str) -> None:
        subprocess.run(["systemctl", f"--root={tmp_path}", what, unit], check=True, capture_output=True)

    systemctl("enable")
    ours, theirs = both()
    assert theirs
    assert ours == theirs
    apply_one(disk, registry.call("disable-services", {"services": [unit]}))
    systemctl("disable")
    ours, theirs = both()
    assert ours == theirs
