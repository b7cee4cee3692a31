"""An image with cloud-init: its clones are booted with a seed, as a platform gives it to them."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from imagebuild.store.artifact import ArtifactFolder

from .conftest import Project

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800), pytest.mark.usefixtures("nothing_left")]

WANTED = {"boot", "cloud-init-seed", "clones-share-nothing", "failed-units", "reboot", "root-file-system"}


def test_cloud_init_applies_the_seed_of_each_clone(project: Project, variant: Callable[..., str]) -> None:
    without = ("time-to-login", "memory-balloon", "shutdown", "ssh-answers", "sshd", "clock-synchronisation")
    more = f"cloud_init: {{datasources: [NoCloud, Ec2]}}\nverify: {{enabled: true, without: [{', '.join(without)}]}}\n"
    name = variant(("operations:\n", f"{more}operations:\n"))
    ended = project.run("build", name, "--json")
    assert ended.code == 0, f"{ended.events[-3:]} {ended.stderr}"
    made = ArtifactFolder(project.folder / "artifacts", name).latest()
    assert made is not None
    results = json.loads((made.folder / "verify.json").read_text())["results"]
    assert {one["name"]: one["status"] for one in results if one["name"] in WANTED} == dict.fromkeys(WANTED, "passed")
