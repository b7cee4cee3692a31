"""Builds on a farm of real processes on this machine."""

from __future__ import annotations

import time

import pytest
from farm_places import shared
from farm_site import FarmSite, until

pytestmark = pytest.mark.seconds


def test_images_are_built_once_and_shared_steps_too(farm: FarmSite) -> None:
    farm.worker("w1", "--jobs", "2")
    farm.worker("w2", "--jobs", "2")
    names = ["web", "mail", "files"]
    for name in names:
        farm.recipe(name)
    ends = farm.built(*names)
    assert sorted(end["recipe"] for end in ends) == sorted(names)
    assert all(end["event"] == "artifact" for end in ends), ends
    made = farm.fakes("made")
    assert len(made) == len(set(made)), "each step was made once"
    assert sorted(line.split()[0] for line in farm.fakes("image")) == sorted(names)
    for name in names:
        assert len(farm.versions(name)) == 1
    again = farm.built(*names, name="again")
    assert [end["unchanged"] for end in again] == [True] * 3
    assert len(farm.fakes("begins")) == 3


def test_failures_are_reported_and_stop_nothing_else(farm: FarmSite) -> None:
    (farm.folder / "imagebuild.yaml").write_text("farm: {labels: {web: [dc2]}}\n")
    farm.worker("w1", "--jobs", "2")
    farm.worker("w2", "--jobs", "2", "--label", "dc2")
    for name in ("bad", "full", "web"):
        farm.recipe(name)
    ends = {one["recipe"]: one for one in farm.built("bad", "full", "web", code=1)}
    assert ends["web"]["event"] == ends["full"]["event"] == "artifact"
    assert (ends["bad"]["message"], ends["bad"]["console"]) == ("no luck", ["last words"])
    assert farm.fakes("begins")
    assert len([one for one in farm.fakes("begins") if one.startswith("bad ")]) == 1, "another worker would fail, too"
    assert len([one for one in farm.fakes("begins") if one.startswith("full ")]) == 2, "another worker has space"
    status = farm.start("status", "farm", "status", "--scheduler", farm.address, "--json")
    assert status.wait(60) == 0, farm.log("status")
    lines = farm.events("status")
    assert {one["name"] for one in lines if one["event"] == "worker" and one["refused"] is None} == {"w1", "w2"}
    (order,) = (one for one in lines if one["event"] == "order")
    (worker,) = (one["worker"] for build in order["builds"] if build["image"] == "web" for one in build["tries"])
    assert worker.startswith("w2 "), "only that one has the label"
    tries = {build["image"]: [one["outcome"] for one in build["tries"]] for build in order["builds"]}
    assert tries == {"bad": ["failed"], "full": ["unable", "built"], "web": ["built"]}


def test_a_worker_gets_no_more_than_it_has(farm: FarmSite) -> None:
    farm.worker("small", "--jobs", "4", "--vcpus", "2", "--memory", "2GiB")
    for name in ("slow-1", "slow-2"):
        farm.recipe(name)
    client = farm.build("slow-1", "slow-2")
    until(lambda: farm.fakes("begins"))
    time.sleep(3)  # long enough for a second one to begin
    assert len(farm.fakes("begins")) == 1
    farm.go()
    assert client.wait(60) == 0, farm.log("client")
    assert len(farm.ends()) == 2


def test_nobody_can_do_it(farm: FarmSite) -> None:
    (farm.folder / "imagebuild.yaml").write_text("farm: {labels: {mail: [dc2]}}\n")
    farm.worker("tiny", "--memory", "256MiB")
    for name in ("web", "mail"):
        farm.recipe(name)
    farm.is_ready("tiny")
    ends = {end["recipe"]: end["message"] for end in farm.built("web", "mail", "--patience", "10s", code=3)}
    assert ends["web"].startswith("no worker has room for it: it needs ")
    assert ends["mail"] == "no worker offers label:dc2"


@pytest.mark.parametrize(("kind", "ledger"), [("folder", "sqlite"), ("sftp", "sqlite"), ("moto", "postgresql")])
def test_machines_with_stores_of_their_own_share_a_remote_one(farm: FarmSite, kind: str, ledger: str) -> None:
    with shared(farm, kind, ledger) as place:
        for name in ("w1", "w2"):
            farm.worker(name, "--jobs", "1", "--store", farm.own_store(name))
        farm.is_ready("w1", "w2")
        names = ["web", "mail", "files"]
        for name in names:
            farm.recipe(name)
        ends = farm.built(*names)
        assert all(end["event"] == "artifact" for end in ends), ends
        made = farm.fakes("made")
        assert len(made) == len(set(made)), "what one worker made came to the other"
        for name in names:
            (version,) = farm.versions(name)
            assert (farm.folder / "artifacts" / name / version / f"{name}.qcow2").read_text().startswith("image of ")
        for store in ("w1", "w2", "store"):
            assert not list((farm.folder / store / "artifact").glob("*")), "artifacts stay in the remote store only"
        assert len(place.artifacts()) == 3
        farm.close()
