"""An image with cloud-init: its clones are booted with a seed, as a platform gives it to them."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from imagebuild.store.artifact import ArtifactFolder

from .conftest import Project

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800), pytest.mark.usefixtures("nothing_left")]

QUICK = {"boot", "cloud-init-seed", "failed-units", "root-file-system"}
OTHERS = ("time-to-login", "memory-balloon", "shutdown", "ssh-answers", "sshd", "clock-synchronisation")


def results(project: Project, variant: Callable[..., str], without: tuple[str, ...]) -> dict[str, str]:
    """The checks of an image with cloud-init that were made, and how they ended."""
    more = f"cloud_init: {{datasources: [NoCloud, Ec2]}}\nverify: {{enabled: true, without: [{', '.join(without)}]}}\n"
    name = variant(("operations:\n", f"{more}operations:\n"))
    ended = project.run("build", name, "--json")
    assert ended.code == 0, f"{ended.events[-3:]} {ended.stderr}"
    made = ArtifactFolder(project.folder / "artifacts", name).latest()
    assert made is not None
    return {one["name"]: one["status"] for one in json.loads((made.folder / "verify.json").read_text())["results"]}


def test_a_seed_is_applied(project: Project, variant: Callable[..., str]) -> None:
    """One clone, one boot."""
    found = results(project, variant, (*OTHERS, "clones-share-nothing", "reboot"))
    assert {name: found.get(name) for name in QUICK} == dict.fromkeys(QUICK, "passed")


@pytest.mark.slow
def test_seeds_of_two_clones_and_a_reboot(project: Project, variant: Callable[..., str]) -> None:
    wanted = QUICK | {"clones-share-nothing", "reboot"}
    found = results(project, variant, OTHERS)
    assert {name: found.get(name) for name in wanted} == dict.fromkeys(wanted, "passed")
