"""Small artifacts, real keys, and projects that sign with them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imagebuild.project.load import validate
from imagebuild.project.trust import Trust
from imagebuild.recipe.yaml.reader import parse
from imagebuild.store.artifact import Artifact, write_checksums
from imagebuild.trust import signers

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def artifact(root: Path, recipe: str = "web", version: str = "2026-11-29.1", *, content: str = "") -> Artifact:
    """An artifact whose image is a text that follows from ``content``."""
    folder = root / recipe / version
    folder.mkdir(parents=True)
    image = (content or f"image of {recipe} {version}").encode()
    (folder / f"{recipe}.qcow2").write_bytes(image)
    (folder / f"{recipe}.xml").write_text(f"<domain><name>{recipe}</name></domain>\n")
    (folder / "build.log").write_text("a log\n")
    data = {
        "schema": 1,
        "name": recipe,
        "version": version,
        "fingerprint": "f" * 64,
        "image": {
            "file": f"{recipe}.qcow2", "format": "qcow2", "size": len(image), "virtual_size": 1 << 20,
            "sha256": hashlib.sha256(image).hexdigest(),
        },
        "repository": {"commit": COMMIT, "modified": True},
        "recipe": {"name": recipe, "root": {"password": {"env": "ROOT_PASSWORD", "file": None}}},
        "sources": [{"name": "root archive", "sha256": "a" * 64, "url": "http://deb.example.org/debian"}],
        "steps": {"convert": {"fingerprint": "f" * 64, "seconds": 1.0}},
        "tools": {"qemu-img": "7.2"},
        "built": {"began": "2026-11-29T10:00:00+00:00", "ended": "2026-11-29T10:02:00+00:00"},
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(data))
    made = Artifact(folder, recipe, version)
    write_checksums(made)
    return made


def key_pair(folder: Path, name: str) -> dict[str, Any]:
    """A new key pair; the private key is in the file NAME.pem. Returns the entry of trust.keys."""
    folder.mkdir(exist_ok=True)
    return {"name": name, "key": signers.new_key(folder / f"{name}.pem").openssh}


def trust(folder: Path, signer: str, *keys: Mapping[str, Any], **more: Any) -> Trust:
    """The section of a project in ``folder`` that signs with the key NAME.pem, and accepts these keys.

    It is read from YAML, as a user's is.
    """
    section = {"keys": list(keys), **({"sign": {"key": {"file": f"{signer}.pem"}}} if signer else {}), **more}
    text = json.dumps({"trust": section})
    found = validate(parse(text, "imagebuild.yaml"), folder / "imagebuild.yaml").trust
    assert found is not None
    return found
