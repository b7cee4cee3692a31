"""What dies on a farm, and how the same command goes on: nothing is lost, nothing is made twice."""

from __future__ import annotations

import os
import signal
import subprocess

import psutil
import pytest
from farm_site import FarmSite, until

pytestmark = pytest.mark.seconds


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes below a nanny that run builds."""
    return [one for one in psutil.Process(process.pid).children() if "spawn_main" in " ".join(one.cmdline())]


def test_a_killed_workers_builds_go_on_elsewhere(farm: FarmSite) -> None:
    first = farm.worker("w1", "--jobs", "2")
    for name in ("slow-1", "slow-2"):
        farm.recipe(name)
    client = farm.build("slow-1", "slow-2")
    until(lambda: farm.begun(2))
    builds = [int(line.split()[1]) for line in farm.fakes("begins")]
    (worker,) = workers_of(first)
    worker.kill()
    until(lambda: not any(psutil.pid_exists(pid) for pid in builds))
    assert sorted(set(farm.fakes("interrupted"))) == ["slow-1", "slow-2"], "the builds end with their worker"
    until(lambda: farm.begun(4))
    farm.go()
    assert client.wait(120) == 0, farm.log("client")
    assert "was lost" in farm.notes()
    farm.once("slow-1", "slow-2")
    farm.is_clean()


def test_a_killed_nanny_leaves_nothing(farm: FarmSite) -> None:
    first = farm.worker("w1", "--jobs", "1")
    farm.recipe("slow-1")
    client = farm.build("slow-1")
    until(lambda: farm.begun(1))
    first.kill()
    until(lambda: bool(farm.fakes("interrupted")))
    farm.worker("w2", "--jobs", "1")
    until(lambda: farm.begun(2))
    farm.go()
    assert client.wait(120) == 0, farm.log("client")
    farm.once("slow-1")
    farm.is_clean()


def test_a_killed_client_loses_nothing(farm: FarmSite) -> None:
    farm.worker("w1", "--jobs", "1")
    for name in ("slow-1", "web"):
        farm.recipe(name)
    client = farm.build("slow-1", "web")
    until(lambda: farm.begun(1))
    os.kill(client.pid, signal.SIGKILL)
    client.wait()
    again = farm.build("slow-1", "web", name="again")
    until(lambda: "is building it already" in farm.notes("again") or farm.ends("again"))
    farm.go()
    assert again.wait(120) == 0, farm.log("again")
    assert sorted(end["recipe"] for end in farm.ends("again")) == ["slow-1", "web"]
    assert len(farm.fakes("begins")) == 2
    farm.once("slow-1", "web")
    farm.is_clean()


def test_a_killed_scheduler_loses_nothing(farm: FarmSite) -> None:
    worker = farm.worker("w1", "--jobs", "1")
    for name in ("slow-1", "web"):
        farm.recipe(name)
    client = farm.build("slow-1", "web")
    until(lambda: farm.begun(1))
    farm.processes[0].kill()
    assert client.wait(120) == 3, farm.log("client")
    assert "the same command" in (farm.ends()[-1].get("hint") or "")
    assert worker.wait(120) == 3, farm.log("w1")
    assert "the scheduler has gone" in farm.log("w1")
    farm.scheduler()
    farm.worker("w2", "--jobs", "1")
    farm.go()
    ends = farm.built("slow-1", "web", name="again")
    assert all(end["event"] == "artifact" for end in ends)
    farm.once("slow-1", "web")
    farm.is_clean()


@pytest.mark.parametrize("finish", ["1h", "0s"])
def test_a_stopped_worker_finishes_or_hands_back(farm: FarmSite, finish: str) -> None:
    first = farm.worker("w1", "--jobs", "1", "--finish", finish)
    farm.recipe("slow-1")
    farm.recipe("web")
    client = farm.build("slow-1", "web")
    until(lambda: farm.begun(1))
    first.send_signal(signal.SIGTERM)
    if finish == "0s":
        until(lambda: bool(farm.fakes("interrupted")))
    second = farm.worker("w2", "--jobs", "1")
    until(lambda: farm.begun(2))
    assert second.poll() is None
    farm.go()
    assert client.wait(120) == 0, farm.log("client")
    assert first.wait(60) == 0, farm.log("w1")
    begins = [line.split()[0] for line in farm.fakes("begins")]
    assert sorted(begins) == (["slow-1", "web"] if finish == "1h" else ["slow-1", "slow-1", "web"])
    farm.once("slow-1", "web")
    farm.is_clean()


def test_a_second_order_joins_the_first(farm: FarmSite) -> None:
    farm.worker("w1", "--jobs", "2")
    farm.recipe("slow-1")
    first, second = farm.build("slow-1", name="first"), farm.build("slow-1", name="second")
    until(lambda: farm.begun(1))
    until(lambda: any("building it already" in farm.notes(name) for name in ("first", "second")))
    farm.go()
    assert [one.wait(60) for one in (first, second)] == [0, 0], farm.log("first") + farm.log("second")
    assert len(farm.fakes("begins")) == 1
    farm.once("slow-1")
