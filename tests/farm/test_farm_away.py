"""The shared store of a farm goes away in the middle of a run, and comes back."""

from __future__ import annotations

import pytest
from farm_places import SharedPlace, shared
from farm_site import FarmSite, until

pytestmark = pytest.mark.seconds
NAMES = ("slow-1", "web")


def begun(farm: FarmSite, place: SharedPlace) -> None:
    """Start two workers, and wait until the store has one of two artifacts."""
    for name in ("w1", "w2"):
        farm.worker(name, "--jobs", "1", "--store", farm.own_store(name))
    farm.is_ready("w1", "w2")
    for name in NAMES:
        farm.recipe(name)
    farm.build(*NAMES)
    until(lambda: [end["recipe"] for end in farm.ends()] == ["web"])
    assert len(place.artifacts()) == 1


def is_right(farm: FarmSite, place: SharedPlace) -> None:
    """Each image is there once, on the client and in the shared store, and no worker has a left-over."""
    assert all(len(farm.versions(name)) == 1 for name in NAMES)
    assert len(place.artifacts()) == 2
    farm.is_clean(farm.folder / "w1", farm.folder / "w2", farm.store)


@pytest.mark.parametrize(
    ("kind", "ledger"),
    [
        ("folder", "sqlite"),
        pytest.param("sftp", "sqlite", marks=pytest.mark.slow),
        pytest.param("rclone", "postgresql", marks=pytest.mark.slow),
    ],
)
def test_a_store_that_is_away_too_long(farm: FarmSite, kind: str, ledger: str) -> None:
    farm.settings["IMAGEBUILD_FAKES_PATIENCE"] = "0"
    with shared(farm, kind, ledger) as place:
        begun(farm, place)
        place.take()
        farm.go()
        assert farm.processes[-1].wait(120) == 3, farm.log("client")
        (message,) = (end["message"] for end in farm.ends() if end["event"] == "error")
        assert message.startswith("every worker that could do it has failed: the "), message
        assert not farm.versions("slow-1")
        place.give()
        ends = farm.built(*NAMES, name="again")
        assert [end["event"] for end in ends] == ["artifact"] * 2, ends
        is_right(farm, place)
        farm.close()


def test_a_store_that_comes_back_is_waited_for(farm: FarmSite) -> None:
    with shared(farm, "sftp", "sqlite") as place:
        begun(farm, place)
        place.take()
        farm.go()
        until(lambda: any("waiting for the shared store" in farm.log(name) for name in ("w1", "w2")))
        place.give()
        assert farm.processes[-1].wait(120) == 0, farm.log("client")
        assert len(farm.fakes("image")) == 2, "nothing was built twice"
        is_right(farm, place)
        farm.close()
