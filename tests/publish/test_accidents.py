"""Publishing to real hosts that die, are full, or are cut off; a publisher that is killed."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.publish.fleet import FleetHost, fleet
from tests.publish.publisher import Publisher, pool_files, record, versions, wrong_files

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800)]
MIB = 1 << 20


@pytest.fixture
def hosts(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[list[FleetHost]]:
    folder = tmp_path / "fleet"
    folder.mkdir()
    with fleet(request.param, folder=folder) as made:
        yield made


@pytest.mark.parametrize("hosts", [5], indirect=True)
@pytest.mark.parametrize("shell", ["true", "false"])
def test_of_five_hosts_one_dies_one_is_full_and_one_is_cut_off(
    hosts: list[FleetHost], tmp_path: Path, shell: str
) -> None:
    project = Publisher(tmp_path, hosts, shell=shell)
    project.artifact(1, mib=4)
    assert project.run("publish", "web", "--to", "all").code == 0
    project.artifact(2, mib=250)
    good, dies, full, cut, also_good = hosts
    full.fill(20 * MIB)
    middle = '"recipe": "{}".*"fraction": 0.[1-5]'

    first = project.run_until(
        [(middle.format(dies.name), dies.kill), (middle.format(cut.name), cut.cut)],
        "publish", "web", "--to", "all", "--jobs", "5",
    )  # fmt: skip

    assert first.code == 1
    assert {name: one["status"] for name, one in first.targets.items()} == {
        good.name: "switched", dies.name: "failed", full.name: "failed", cut.name: "failed", also_good.name: "switched",
    }  # fmt: skip
    messages = {name: one["message"] for name, one in first.targets.items()}
    assert "no room" in messages[full.name]
    assert all("\n" not in message and 20 < len(message) < 300 for message in messages.values() if message)
    dies.restart()
    cut.mend()
    full.clear()
    assert [versions(host) for host in hosts] == ["2 (1)", "1", "1", "1", "2 (1)"]

    second = project.run("publish", "web", "--to", "all", "--jobs", "5")
    assert second.code == 0, second.targets
    assert {name: one["status"] for name, one in second.targets.items()} == {
        good.name: "unchanged", dies.name: "switched", full.name: "switched", cut.name: "switched",
        also_good.name: "unchanged",
    }  # fmt: skip
    size = (tmp_path / "artifacts/web/latest/web.qcow2").stat().st_size
    sent = {name: one["sent"] for name, one in second.targets.items()}
    assert sent[good.name] == sent[also_good.name] == 0
    assert sent[cut.name] < size, "what had arrived is used"
    for host in hosts:
        assert versions(host) == "2 (1)"
        assert wrong_files(host) == []
        assert len([name for name in pool_files(host) if "qcow2" in name]) == 2, pool_files(host)


@pytest.mark.parametrize("hosts", [2], indirect=True)
@pytest.mark.parametrize("shell", ["true", "false"])
def test_a_publisher_that_is_killed_leaves_the_old_or_the_new_version(
    hosts: list[FleetHost], tmp_path: Path, shell: str
) -> None:
    project = Publisher(tmp_path, hosts, shell=shell)
    project.artifact(1, mib=8)
    begin = time.monotonic()
    assert project.run("publish", "web", "--to", "all").code == 0
    whole = time.monotonic() - begin
    chance = random.Random(15)
    version, killed = 1, 0
    for _ in range(12):
        if all(versions(host).startswith(f"{version}") for host in hosts):
            version += 1
            project.artifact(version, mib=8)
        killed += project.kill_after(chance.uniform(0.2, whole * 0.8), "publish", "web", "--to", "all")
        for host in hosts:
            found = record(host)
            assert found is not None
            assert found.current.rpartition(".")[2] in (str(version - 1), str(version))
            assert wrong_files(host) == []
    assert killed >= 3, "some of them were still at work"
    last = project.run("publish", "web", "--to", "all")
    assert last.code == 0, last.targets
    assert [record(host).current for host in hosts] == [f"2026-11-29.{version}"] * 2  # type: ignore[union-attr]
    assert [wrong_files(host) for host in hosts] == [[], []]
    left = {name for host in hosts for name in pool_files(host) if not name.endswith(".qcow2")}
    assert left <= {".imagebuild.lock"}
    # what a killed publisher left of versions that nobody completed is removed by prune
    assert project.run("prune", "web", "--on", "all", "--keep", "1", "--yes").code == 0
    assert [versions(host) for host in hosts] == [f"{version}"] * 2
    for host in hosts:
        assert len([name for name in pool_files(host) if "qcow2" in name]) == 1, pool_files(host)


@pytest.mark.parametrize("hosts", [1], indirect=True)
def test_a_machine_keeps_its_version_while_others_are_published_and_pruned(
    hosts: list[FleetHost], tmp_path: Path
) -> None:
    (host,) = hosts
    project = Publisher(tmp_path, hosts)
    project.artifact(1)
    assert project.run("publish", "web", "--to", "all").code == 0
    assert project.run("instantiate", "web", "vm1", "--on", host.name, "--start").code == 0
    for number in range(2, 7):
        project.artifact(number)
        assert project.run("publish", "web", "--to", "all").code == 0
        done = project.run("prune", "web", "--on", "all", "--keep", "2", "--yes")
        assert done.code == 0, done.stderr
    assert host.virsh("domstate", "vm1").strip() == "running"
    host.run("qemu-img", "check", "-U", "-f", "qcow2", f"{host.pool_path}/vm1.qcow2")
    assert versions(host) == "6 (1 5)"
    assert wrong_files(host) == []
    host.virsh("destroy", "vm1")
    assert project.run("prune", "web", "--on", "all", "--keep", "2", "--yes").code == 0
    assert versions(host) == "6 (1 5)", "its disk still needs version 1"
    host.virsh("undefine", "vm1", "--remove-all-storage")
    assert project.run("prune", "web", "--on", "all", "--keep", "2", "--yes").code == 0
    assert versions(host) == "6 (5)"
    assert len([name for name in pool_files(host) if "qcow2" in name]) == 2
