"""Inventories for tests: a small Debian, and images that have one."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from imagebuild.contents.described import AppliedOperation, DescribedImage
from imagebuild.contents.encoding import INVENTORY, packed
from imagebuild.contents.inventory import (
    DiskArea,
    DiskLayout,
    EnabledUnit,
    FileRecord,
    FolderSize,
    GuestAccount,
    Inventory,
    SystemRelease,
)

MIB, GIB = 1 << 20, 1 << 30
LINUX, EFI = "0fc63daf-8483-4772-8e79-3d69d8477de4", "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
HOSTILE = "/srv/\x1b]0;owned\x07\n| `x` <b>\u202e\udcff"
"""A name with terminal control, a line break, Markdown, HTML, a bidirectional control and a byte that is no UTF-8."""

DISK = DiskLayout(
    4 * GIB,
    "gpt",
    (
        DiskArea("", 1, MIB, 128 * MIB, EFI, "efi", "vfat", "", "/boot/efi", 12 * MIB, 127 * MIB),
        DiskArea("", 2, 129 * MIB, 3 * GIB, LINUX, "root", "ext4", "root", "/", GIB, 3 * GIB - 64 * MIB),
    ),
)


def inventory(**changes: Any) -> Inventory:
    """A small Debian guest; ``changes`` are fields to replace."""
    small = Inventory(
        SystemRelease("debian", "13", "trixie", "Debian GNU/Linux 13 (trixie)", "x86_64"),
        "dpkg",
        {"bash": "5.2.37-2+b3", "openssh-server": "1:10.0p1-7", "vim": "2:9.1.1230-2"},
        (
            GuestAccount("daemon", 1, 1, "/usr/sbin", "/usr/sbin/nologin"),
            GuestAccount("root", 0, 0, "/root", "/bin/bash"),
        ),
        (
            EnabledUnit("dbus.socket", ("sockets.target",), ("/run/dbus/system_bus_socket",), vendor=True),
            EnabledUnit("ssh.service", ("multi-user.target",)),
        ),
        ("6.12.48+deb13-amd64",),
        (FolderSize("/", GIB), FolderSize("/usr", 900 * MIB), FolderSize("/usr/lib", 400 * MIB)),
        (DISK,),
        (),
        (
            FileRecord("/etc", "d", 0o755, 0, 0),
            FileRecord("/etc/hostname", "f", 0o644, 0, 0, 10, "", "", "aa" * 32),
            FileRecord("/etc/localtime", "l", 0o777, 0, 0, 0, "/usr/share/zoneinfo/Etc/UTC"),
            FileRecord("/usr/bin/passwd", "f", 0o4755, 0, 0, 118168),
        ),
    )
    return replace(small, **changes)


def image(**changes: Any) -> DescribedImage:
    """An image with that guest; ``changes`` are fields of the inventory to replace."""
    return DescribedImage(
        "/images/web.qcow2", "qcow2", 200 * MIB, 4 * GIB, "inventory", inventory(**changes), "web", "2026-11-29.1",
        "f00d",
        (AppliedOperation("clean-logs", "changed", 3), AppliedOperation("disable-selinux", "not applicable", 0)),
    )  # fmt: skip


CHANGED = image(
    system=SystemRelease("debian", "13", "trixie", "Debian GNU/Linux 13.1 (trixie)", "x86_64"),
    packages={"bash": "5.2.37-2+b4", "openssh-server": "1:9.2p1-2", "tree": "2.2.1-1"},
    accounts=(*inventory().accounts, GuestAccount("eve", 1000, 1000, "/home/eve", "/bin/bash", ("password", "key"))),
    units=(*inventory().units, EnabledUnit("ssh.socket", ("sockets.target",), ("22",))),
    kernels=("6.12.50+deb13-amd64",),
    files=(
        FileRecord("/etc", "d", 0o750, 0, 0),
        FileRecord("/etc/hostname", "f", 0o644, 0, 0, 10, "", "", "bb" * 32),
        FileRecord(HOSTILE, "f", 0o4755, 0, 0, 5),
        FileRecord("/usr/bin/passwd", "f", 0o4755, 0, 0, 118168),
        FileRecord("/usr/bin/ping", "f", 0o755, 0, 0, 90000, "", "0100000200200000"),
    ),
)
"""The next version of that image, with everything that can differ."""


def artifact(folder: Path, guest: Inventory | None, *, name: str = "web", version: str = "2026-11-29.1") -> Path:
    """The folder of an artifact with this inventory; returns its image, which contains nothing."""
    there = folder / name / version
    there.mkdir(parents=True)
    there.joinpath(f"{name}.qcow2").write_bytes(bytes(512))
    manifest = {
        "schema": 1, "name": name, "version": version, "fingerprint": "f00d",
        "image": {"file": f"{name}.qcow2", "format": "qcow2", "compression": "zstd", "size": 512,
                  "virtual_size": 4 * GIB, "sha256": "00"},
        "extra_images": [], "other_formats": [],
        "operations": [{"name": "clean-logs", "status": "changed", "changes": [{"path": "/x", "what": "emptied"}]}],
    }  # fmt: skip
    if guest is not None:
        content = packed(guest)
        there.joinpath(INVENTORY).write_bytes(content)
        manifest["inventory_sha256"] = hashlib.sha256(content).hexdigest()
    there.joinpath("manifest.json").write_text(json.dumps(manifest))
    latest = folder / name / "latest"
    latest.unlink(missing_ok=True)
    latest.symlink_to(version)
    return there / f"{name}.qcow2"
