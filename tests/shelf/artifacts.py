"""Small artifacts with real images, and what a shelf's indexes say about them."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from imagebuild.contents.encoding import INVENTORY, packed
from imagebuild.contents.inventory import Inventory
from imagebuild.files import sha256
from imagebuild.store.artifact import Artifact

OS = {"family": "debian", "distribution": "debian", "version": "13", "codename": "trixie", "arch": "x86_64",
      "osinfo": "debian13"}  # fmt: skip
MIB = 1 << 20


def artifact(
    output: Path, recipe: str = "web", version: str = "2026-11-29.1", *, verdict: str = "passed", content: str = "",
    disks: int = 1, inventory: Inventory | None = None, latest: bool = True, system: object = OS,
) -> Artifact:  # fmt: skip
    """An artifact in ``output``; the bytes of its images follow from ``content``."""
    folder = output / recipe / version
    folder.mkdir(parents=True)
    suffixes = ["", *(f"-disk{number}" for number in range(2, disks + 1))]
    images = [_image(folder, f"{recipe}{suffix}", content or version) for suffix in suffixes]
    data = {
        "schema": 1,
        "name": recipe,
        "version": version,
        "description": "A web server",
        "fingerprint": "f" * 64,
        "image": images[0],
        "extra_images": images[1:],
        "recipe": {"os": system},
        "built": {"ended": f"{version[:10]}T10:00:00+00:00"},
    }
    if verdict:
        data["verification"] = {"verdict": verdict}
    if inventory is not None:
        content_of = packed(inventory)
        (folder / INVENTORY).write_bytes(content_of)
        data["inventory_sha256"] = hashlib.sha256(content_of).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(data))
    (folder / f"{recipe}.xml").write_text(f"<domain><name>{recipe}</name></domain>\n")
    if latest:
        link = output / recipe / "latest"
        link.unlink(missing_ok=True)
        link.symlink_to(version)
    return Artifact(folder, recipe, version)


def _image(folder: Path, name: str, content: str) -> dict[str, object]:
    raw, path = folder / "raw", folder / f"{name}.qcow2"
    raw.write_bytes(hashlib.shake_256(f"{name} {content}".encode()).digest(MIB))
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, path], check=True)
    raw.unlink()
    size = path.stat().st_size
    return {"file": path.name, "format": "qcow2", "size": size, "virtual_size": MIB, "sha256": sha256(path)}


def sections(text: str) -> dict[str, dict[str, str]]:
    """The sections of an index, with their fields; a shelf never has a blank line in one."""
    found = {}
    for block in re.split(r"\n\n", text.strip("\n")) if text else []:
        head, *lines = block.split("\n")
        found[head.strip("[]")] = dict(line.split("=", 1) for line in lines if not line.startswith(" "))
    return found


def problems(shelf: Path, *, documents: Sequence[str] = ("index", "streams", "SHA256SUMS")) -> list[str]:
    """What is wrong with a shelf: everything that an index names must be there, with that content."""
    found = []
    if "index" in documents:
        for name, about in sections((shelf / "index").read_text()).items():
            path = shelf / about["file"]
            if not path.exists() or path.stat().st_size != int(about["compressed_size"]):
                found.append(f"{name}: {path.name} is missing, or has another size")
            elif hashlib.sha512(path.read_bytes()).hexdigest() != about["checksum[sha512]"]:
                found.append(f"{name}: {path.name} has another content")
    if "streams" in documents:
        index = json.loads((shelf / "streams/v1/index.json").read_text())
        for entry in index["index"].values():
            products = json.loads((shelf / entry["path"]).read_text())["products"]
            items = [
                item
                for product in products.values()
                for version in product["versions"].values()
                for item in version["items"].values()
            ]
            found += [item["path"] for item in items if not _is(shelf / item["path"], item["sha256"])]
    if "SHA256SUMS" in documents:
        lines = [line.split("  ") for line in (shelf / "SHA256SUMS").read_text().splitlines()]
        found += [name for digest, name in lines if not _is(shelf / name, digest)]
    return found


def _is(path: Path, digest: str) -> bool:
    return path.exists() and sha256(path) == digest
