"""Manifests as a build writes them, for tests."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from imagebuild.recipe.load import load

STEPS = ("runtime", "tree", "payload", "install", "customise", "convert")


def recipe_data(tmp_path: Path, extra: str = "") -> dict[str, Any]:
    """The recipe of a manifest, from YAML lines that are added to a small recipe."""
    file = tmp_path / "web.yaml"
    file.write_text("name: web\nos: {family: debian, version: 13, codename: trixie}\n" + extra)
    return load(file).model_dump(mode="json")


def manifest(tmp_path: Path, extra: str = "", **changes: Any) -> Path:
    """The folder of an artifact with a manifest; ``changes`` replace values."""
    folder = tmp_path / "artifacts" / "web" / "2026-11-28.1"
    folder.mkdir(parents=True, exist_ok=True)
    image = b"an image\0"
    (folder / "web.qcow2").write_bytes(image)
    content = {
        "schema": 1,
        "name": "web",
        "version": "2026-11-28.1",
        "fingerprint": "f" * 64,
        "image": {
            "file": "web.qcow2",
            "format": "qcow2",
            "compression": "zstd",
            "size": len(image),
            "virtual_size": 4 << 30,
            "sha256": hashlib.sha256(image).hexdigest(),
        },
        "recipe": recipe_data(tmp_path, extra),
        "kickstart": {"template": "debian.ks.j2", "sha256": "0" * 64},
        "sources": [{"name": "root archive", "sha256": "1" * 64, "url": None}],
        "packages": {"bash": "5.2.37-2"},
        "tools": {"imagebuild": "0.1", "qemu": "10.0"},
        "steps": {name: {"fingerprint": name[0] * 64, "seconds": None} for name in STEPS},
        "built": {"accelerator": "tcg", "identity": "a" * 64},
        **changes,
    }
    (folder / "manifest.json").write_text(json.dumps(content))
    return folder
