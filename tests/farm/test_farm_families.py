"""Forty images of six families on four workers of unlike size: real scheduler, workers and client, fake builds."""

from __future__ import annotations

import json
import random
import sys
from contextlib import closing

import pytest
from farm_places import shared
from farm_site import FarmSite

from bench.farm import SimulatedImage, bound
from imagebuild.build import engine
from imagebuild.build.accelerators import known_accelerator
from imagebuild.build.scheduler import Room, room_for
from imagebuild.build.step_cache import Settings
from imagebuild.farm.placement import PlaceState
from imagebuild.ledger import address
from imagebuild.ledger.claims import BuildTry
from imagebuild.ledger.ledger import Ledger
from imagebuild.recipe.load import load_all
from imagebuild.store.history import Build, History, StepRecord
from imagebuild.store.store import Store

pytestmark = pytest.mark.slow
_GIB = 1 << 30
FAMILIES = ("less", "tree", "vim", "wget", "curl", "screen")
"""What makes the root archives of families differ: a package."""
WORKERS = {"w1": (1, 4, 2), "w2": (2, 4, 4), "w3": (3, 5, 6), "w4": (4, 6, 8)}
"""Places for builds, GiB of memory, virtual processors."""
PAYLOAD = 5.0


def recipes(farm: FarmSite) -> list[SimulatedImage]:
    """Write recipes of unlike size, with the time that the fake builds take, which the history knows."""
    chance = random.Random(20)
    history = History(Store(farm.store))
    seconds, found = {}, []
    for number in range(40):
        name, family = f"image-{number}", number % len(FAMILIES)
        memory = chance.choice((1, 1, 1.5, 2.5, 3))
        farm.recipe(name, more=f"vm: {{memory: {memory * 1024:.0f}MiB, vcpus: 1}}\npackages: [{FAMILIES[family]}]\n")
        install = round(chance.uniform(10, 40), 1)
        seconds[name] = {"payload": PAYLOAD, "install": install}
        recipe = load_all(str(farm.folder / "recipes" / f"{name}.yaml"))[0]
        outlook = engine.planned(recipe, Settings(Store(farm.store), farm.folder / "artifacts"))
        steps = [
            StepRecord(one.name, one.kind, one.fingerprint, "run", seconds[name].get(one.name, 0.3))
            for one in outlook.plan.steps
        ]
        history.put(
            Build(
                run=f"before-{number}", recipe=name, began="2026-01-01T00:00:00+00:00", outcome="built",
                ended="2026-01-01T00:01:00+00:00", accelerator=known_accelerator(recipe, Store(farm.store)),
                steps=tuple(steps),
            )
        )  # fmt: skip
        found.append(SimulatedImage(number, room_for(outlook), FAMILIES[family], PAYLOAD, install))
    (farm.control / "seconds.json").write_text(json.dumps(seconds))
    return found


def admitted(tries: list[tuple[BuildTry, Room]], place: PlaceState) -> bool:
    """Whether never more ran on a worker than it has, by the ledger's times."""
    moments = sorted({one.began for one, _ in tries})
    for moment in moments:
        there = [room for one, room in tries if one.began <= moment and (one.ended or 0) > moment]
        if len(there) > place.jobs or not place.room.holds(sum(there, Room(0, 0, 0))):
            return False
    return True


def test_forty_images_of_six_families_on_four_workers(farm: FarmSite) -> None:
    images = recipes(farm)
    names = [f"image-{one.number}" for one in images]
    with shared(farm, "folder", "sqlite") as place:
        for name, (jobs, memory, vcpus) in WORKERS.items():
            size = ("--jobs", str(jobs), "--memory", f"{memory}GiB", "--vcpus", str(vcpus))
            farm.worker(name, *size, "--store", farm.own_store(name))
        farm.is_ready(*WORKERS)
        client = farm.build(*names)
        assert client.wait(900) == 0, farm.log("client")
        farm.once(*names)
        assert len(place.artifacts()) == len(names)
        kinds = [line.split()[0] for line in farm.fakes("made")]
        assert kinds.count("payload") == len(FAMILIES)
        assert (kinds.count("runtime"), kinds.count("tree")) == (1, 1)
        with closing(Ledger(address.parsed(str(farm.folder / "ledger.sqlite")))) as ledger:
            (order,) = ledger.orders()
        rooms = {f"image-{one.number}": one.room for one in images}
        crew = [
            PlaceState(name, Room(memory * _GIB, vcpus, 1 << 50), jobs)
            for name, (jobs, memory, vcpus) in WORKERS.items()
        ]
        ran = [(one.tries[-1], rooms[one.image]) for one in order.builds]
        assert all(len(one.tries) == 1 for one in order.builds)
        for worker in crew:
            mine = [(one, room) for one, room in ran if one.worker.split()[0] == worker.key]
            assert mine, f"{worker.key} had nothing to do"
            assert admitted(mine, worker), worker.key
        makers = {one["recipe"] for one in farm.events() if one["event"] == "step" and one["step"] == "payload"}
        took = {one.image: (one.tries[0].ended or 0) - one.tries[0].began for one in order.builds}
        measured = []
        for one in images:
            name = f"image-{one.number}"
            rest = took[name] - (PAYLOAD if name in makers else 0)
            measured.append(SimulatedImage(one.number, one.room, one.family, PAYLOAD, rest))
        makespan = max(one.ended or 0 for one, _ in ran) - min(one.began for one, _ in ran)
        best = bound(measured, crew)
        sys.stdout.write(
            f"{len(names)} images, {makespan:.1f} s; no schedule of the same durations takes less than {best:.1f} s:"
            f" utilisation {best / makespan:.3f}\n"
        )
        farm.is_clean(*(farm.folder / name for name in (*WORKERS, "store")))
        farm.close()
