"""Artifacts for pages, written by the project's own writers: folders, inventories, verifications."""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import asdict, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from imagebuild.build.verification import VerifiedHere, record
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
from imagebuild.store.artifact import Artifact, ArtifactFolder, ImageRecord, write_checksums
from imagebuild.verify.check import CheckResult
from imagebuild.verify.screenshot import png
from imagebuild.verify.verification import Verification

MIB, GIB = 1 << 20, 1 << 30
FIRST = date(2026, 11, 1)
LINUX, EFI = "0fc63daf-8483-4772-8e79-3d69d8477de4", "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
HOSTILE = "</td><script>alert(1)</script>\x1b[31m\u202e\"'&amp;{{ 7*7 }}"
"""HTML, a terminal's control sequence, a bidirectional control, quotes and a template."""


def guest(number: int = 0, files: int = 40) -> Inventory:
    """A small Debian; each number is another state of it."""
    packages = {f"lib{one}": f"1.{one}-1" for one in range(120)}
    packages |= {"bash": "5.2.37-2", "openssl": f"3.5.{number}-1", "linux-image-amd64": f"6.12.{40 + number // 3}-1"}
    packages |= {f"extra{one}": "0.1-1" for one in range(number % 4)}
    root = GIB + number * 3 * MIB
    return Inventory(
        SystemRelease("debian", "13", "trixie", "Debian GNU/Linux 13 (trixie)", "x86_64"),
        "dpkg",
        packages,
        (GuestAccount("root", 0, 0, "/root", "/bin/bash"),),
        (EnabledUnit("ssh.service", ("multi-user.target",)),),
        (f"6.12.{40 + number // 3}+deb13-amd64",),
        (
            FolderSize("/", root),
            FolderSize("/usr", 900 * MIB),
            FolderSize("/usr/lib", 600 * MIB),
            FolderSize("/usr/share", 210 * MIB),
            FolderSize("/var", 90 * MIB),
            FolderSize("/boot", 70 * MIB),
        ),
        (
            DiskLayout(
                4 * GIB,
                "gpt",
                (
                    DiskArea("", 1, MIB, 128 * MIB, EFI, "efi", "vfat", "", "/boot/efi", 12 * MIB, 127 * MIB),
                    DiskArea("", 2, 129 * MIB, 3 * GIB, LINUX, "root", "ext4", "root", "/", root, 3 * GIB - 64 * MIB),
                ),
            ),
        ),
        (),
        (
            *(FileRecord(f"/usr/lib/file{one:05}", "f", 0o644, 0, 0, 1000 + one) for one in range(files)),
            FileRecord("/usr/bin/passwd", "f", 0o4755, 0, 0, 118168 + number),
        ),
    )


def hostile_guest() -> Inventory:
    """A guest whose every name is meant for a browser."""
    return replace(
        guest(),
        system=SystemRelease("debian", "13", HOSTILE, HOSTILE, "x86_64"),
        packages={HOSTILE: HOSTILE, "bash": "5.2.37-2"},
        folders=(FolderSize("/", GIB), FolderSize(f"/{HOSTILE}", 900 * MIB)),
        files=(FileRecord(f"/{HOSTILE}\udcff", "f", 0o4755, 0, 0, 5),),
        units=(EnabledUnit(HOSTILE, (HOSTILE,)),),
    )


def artifact(
    output: Path,
    image: str = "web",
    number: int = 0,
    *,
    inventory: Inventory | None = None,
    description: str = "A web server on Debian 13",
    verdict: str = "passed",
    signed: bool = False,
    screen: bool = False,
    message: str = "sshd permits passwords",
) -> Artifact:
    """The artifact of a day; ``number`` counts the days."""
    day = FIRST + timedelta(days=number)
    with ArtifactFolder(output, image).new(day) as made:
        _fill(made, image, number, inventory if inventory is not None else guest(number), description, day)
    done = Artifact(output / image / made.version, image, made.version)
    if verdict:
        _verify(done, number, verdict, screen=screen, message=message)
    if signed:
        (done.folder / "SHA256SUMS.asc").write_text("-----BEGIN PGP SIGNATURE-----\n")
        (done.folder / "provenance.intoto.json").write_text("{}")
        (done.folder / "provenance.sigstore.json").write_text("{}")
        (done.folder / f"{image}.cdx.json").write_text("{}")
        (done.folder / f"{image}.spdx.json").write_text("{}")
    return done


def _fill(made: Artifact, image: str, number: int, inventory: Inventory, description: str, day: date) -> None:
    content = packed(inventory)
    disk = hashlib.shake_256(f"{image} {number}".encode()).digest(4096 + 64 * number)
    (made.folder / INVENTORY).write_bytes(content)
    (made.folder / f"{image}.qcow2").write_bytes(disk)
    (made.folder / f"{image}.xml").write_text(f"<domain type='kvm'><name>{image}</name></domain>\n")
    began = datetime(day.year, day.month, day.day, 3, 0, tzinfo=UTC)
    seconds = {"payload": None if number % 3 else 48.0, "install": 240.0 + number, "customise": 21.5, "convert": 17.0}
    system_disk = ImageRecord(
        file=f"{image}.qcow2", compression="zstd", size=len(disk), virtual_size=4 * GIB,
        sha256=hashlib.sha256(disk).hexdigest(),
    )  # fmt: skip
    manifest = {
        "schema": 1, "name": image, "version": made.version, "description": description,
        "fingerprint": hashlib.sha256(content).hexdigest(), "image": asdict(system_disk), "extra_images": [],
        "other_formats": [], "inventory_sha256": hashlib.sha256(content).hexdigest(), "operations": [],
        "tools": {"qemu-img": "7.2.22", "virt-install": "4.1.0"},
        "steps": {name: {"fingerprint": "f" * 64, "seconds": one} for name, one in seconds.items()},
        "built": {
            "began": began.isoformat(),
            "ended": (began + timedelta(seconds=sum(one or 0 for one in seconds.values()))).isoformat(),
            "accelerator": "kvm",
        },
    }  # fmt: skip
    (made.folder / "manifest.json").write_text(json.dumps(manifest))


def _verify(done: Artifact, number: int, verdict: str, *, screen: bool, message: str) -> None:
    failed = CheckResult("sshd", "failed", (message,), seconds=0.2)
    results = (
        CheckResult("boot", "passed", seconds=14.0),
        CheckResult("cpu-hot-add", "not applicable", reason="the machine has all its CPUs", seconds=0.0),
        failed if verdict == "failed" else CheckResult("sshd", "passed", seconds=0.2),
        CheckResult("clock-synchronisation", "not checkable", reason="no time server can be reached"),
    )
    verification = Verification(
        image=f"{done.recipe}.qcow2", sha256="0" * 64, accelerator="kvm", seconds_to_login=9.5 + number % 5,
        results=results, began="2026-11-01T03:10:00+00:00", seconds=40.0,
    )  # fmt: skip
    evidence = done.folder / "evidence"
    evidence.mkdir()
    if screen:
        pixels = b"".join(struct.pack("BBB", x % 256, y % 256, 90) for y in range(48) for x in range(64))
        (evidence / "first.png").write_bytes(png(b"P6 64 48 255\n" + pixels))
    record(done, VerifiedHere(verification, evidence))
    for path in evidence.iterdir():
        path.unlink()
    evidence.rmdir()
    write_checksums(done)


def fleet(output: Path, *, images: int = 3, versions: int = 12, files: int = 40) -> None:
    """Several images with several versions; some failed their verification, some were never verified."""
    names = ("web", "database", "runner", "bastion", "builder", "cache", "mail", "monitor", "proxy", "desktop")
    for at in range(images):
        name = names[at] if at < len(names) else f"image-{at}"
        for number in range(versions):
            verdict = "failed" if (number + at) % 7 == 5 else "" if (number + at) % 7 == 3 else "passed"
            artifact(
                output, name, number, inventory=guest(number, files), verdict=verdict, signed=number % 2 == 0,
                screen=number % 4 == 2, description=f"The {name} image of the shop, on Debian 13",
            )  # fmt: skip
