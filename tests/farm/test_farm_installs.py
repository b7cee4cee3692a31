"""Three real installations on a farm: virt-install, virtual machines, libguestfs and all."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from farm_places import shared
from farm_site import FarmSite

pytestmark = [pytest.mark.slow, pytest.mark.vm, pytest.mark.timeout(3600)]
RECIPE = """\
name: {name}
os: {{family: debian, version: 13, codename: trixie}}
disk: {{size: {size}}}
vm: {{timeout: 40m, vcpus: 1}}
packages: [{packages}]
operations: [write-file: {{path: /etc/motd, text: "{name}"}}]
"""
IMAGES = {"web": ("2GiB", "less"), "mail": ("3GiB", "less"), "files": ("2GiB", "less, tree")}
"""The disk's size and packages: ``web`` and ``mail`` need the same root archive, and no two the same disk."""


@pytest.fixture
def real() -> Iterator[FarmSite]:
    """A farm that really builds. QEMU's own user must get into its folder."""
    folder = Path(tempfile.mkdtemp(prefix="imagebuild-farm-"))
    folder.chmod(0o711)
    site = FarmSite(folder / "farm", is_fake=False)
    try:
        site.scheduler()
        yield site
    finally:
        site.close()
        shutil.rmtree(folder)


def test_three_installations_on_two_workers(real: FarmSite) -> None:
    for name, (size, packages) in IMAGES.items():
        recipe = RECIPE.format(name=name, size=size, packages=packages)
        (real.folder / "recipes" / f"{name}.yaml").write_text(recipe)
    with shared(real, "folder", "sqlite") as place:
        for name in ("w1", "w2"):
            real.worker(name, "--jobs", "1", "--store", real.own_store(name))
        real.is_ready("w1", "w2")
        client = real.build(*IMAGES, "--no-verify")
        assert client.wait(3000) == 0, real.log("client")
        ends = {end["recipe"]: end for end in real.ends()}
        assert {name: end["event"] for name, end in ends.items()} == dict.fromkeys(IMAGES, "artifact")
        done = [one for one in real.events() if one["event"] == "step" and one["state"] == "done"]
        for name in IMAGES:
            steps = [(one["step"], one["source"], one["seconds"]) for one in done if one["recipe"] == name]
            sys.stdout.write(f"{name}: {steps}\n")
        made = [(one["recipe"], one["step"]) for one in done if one["source"] == "made"]
        for step, times in {"runtime": 1, "tree": 1, "payload": 2, "install": 3, "customise": 3}.items():
            assert len([one for one in made if one[1] == step]) == times, (step, done)
        status = real.start("status", "farm", "status", "--scheduler", real.address, "--json")
        assert status.wait(60) == 0, real.log("status")
        (order,) = (one for one in real.events("status") if one["event"] == "order")
        tries = {one["image"]: [each["outcome"] for each in one["tries"]] for one in order["builds"]}
        assert tries == {name: ["built"] for name in IMAGES}
        assert {one["tries"][0]["worker"].split()[0] for one in order["builds"]} == {"w1", "w2"}, "both have worked"
        sys.stdout.write(json.dumps([(one["image"], one["tries"]) for one in order["builds"]]) + "\n")
        assert len(place.artifacts()) == 2 * len(IMAGES), "each for later builds, and as it was delivered"
        for name, end in ends.items():
            image = real.folder / end["image"]
            about = subprocess.run(["qemu-img", "info", "--output=json", image], check=True, capture_output=True)
            assert json.loads(about.stdout)["virtual-size"] == int(IMAGES[name][0][0]) << 30
            check = subprocess.run(["qemu-img", "check", image], check=False, capture_output=True, text=True)
            assert check.returncode == 0, check.stdout
        real.is_clean(*(real.folder / name for name in ("w1", "w2", "store")))
        real.close()
