"""A nightly run that builds on a farm, because its project says so."""

from __future__ import annotations

import json

import pytest
from farm_site import FarmSite

pytestmark = pytest.mark.seconds


def test_a_night_on_a_farm(farm: FarmSite) -> None:
    farm.worker("w1", "--jobs", "2")
    farm.recipe("web")
    farm.recipe("bad")
    section = f"nightly: {{if_changed: false, verify: false}}\nfarm: {{scheduler: {farm.address}, nightly: true}}\n"
    (farm.folder / "imagebuild.yaml").write_text(section)
    night = farm.start("night", "nightly", "--json")
    assert night.wait(120) == 1, farm.log("night")
    result = json.loads((farm.folder / "reports" / "nightly.json").read_text())
    stages = {one["image"]: one["stages"][0] for one in result["images"]}
    assert stages["web"]["status"] == "passed", farm.log("night")
    assert (stages["bad"]["status"], stages["bad"]["message"]) == ("failed", "no luck")
    assert sorted(line.split()[0] for line in farm.fakes("begins")) == ["bad", "web"]
    assert len(farm.versions("web")) == 1
