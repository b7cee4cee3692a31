"""What a manifest says of the guest's first boot."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from imagebuild.publish.release import release
from imagebuild.publish.state import FirstBootSupport
from imagebuild.store.artifact import Artifact


def artifact(folder: Path, **content: Any) -> Artifact:
    """An artifact whose image has no bytes."""
    (folder / "web.qcow2").touch()
    (folder / "web.xml").write_text("<domain/>")
    image = {"file": "web.qcow2", "size": 0, "virtual_size": 0, "sha256": hashlib.sha256().hexdigest()}
    (folder / "manifest.json").write_text(json.dumps({"image": image, **content}))
    return Artifact(folder, "web", "1")


@pytest.mark.parametrize(
    ("packages", "recipe", "expected"),
    [
        ({"systemd": "257.13-1~deb13u1"}, {}, FirstBootSupport(systemd=257)),
        ({"systemd": "252-46.el9_5.2", "cloud-init": "23.4"}, {}, FirstBootSupport(cloud_init=True, systemd=252)),
        ({"systemd": "1:254.1"}, {"root": {"ssh_keys": ["x"]}}, FirstBootSupport(systemd=254, root_keys=True)),
        ({"bash": "5"}, {"operations": [{"add-ssh-keys": {"keys": []}}]}, FirstBootSupport(root_keys=True)),
        ({"bash": "5"}, {"operations": [{"add-ssh-keys": {"user": "a"}}, {"clean-logs": {}}]}, FirstBootSupport()),
        ({}, {}, None),
        (None, None, None),
    ],
)
def test_first_boot(tmp_path: Path, packages: Any, recipe: Any, expected: FirstBootSupport | None) -> None:
    found = release(artifact(tmp_path, packages=packages, recipe=recipe))
    assert found.first_boot == expected
    assert found.published("<domain/>").first_boot == expected
