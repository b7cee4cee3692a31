"""The network of a worker is cut and comes back: scheduler, ledger and shared store are then away from it,
and it is away from them, without a word to anybody.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import farm_network
import postgresql_server
import pytest
from farm_certificates import authority
from farm_network import HUB, FarmNetwork
from farm_site import FarmSite, until
from storage_peers import Sshd

from imagebuild.ledger import address
from imagebuild.ledger.claims import LEASE, LedgerBuild
from imagebuild.ledger.ledger import Ledger

pytestmark = pytest.mark.seconds


@dataclass(frozen=True)
class CutFarm:
    """A farm whose scheduler, PostgreSQL, SFTP server and clients are on the machine ``hub``."""

    site: FarmSite
    network: FarmNetwork
    ledger: Ledger
    remote: Path
    hub: tuple[str, ...]

    def worker(self, name: str) -> None:
        store = self.site.own_store(name)
        self.site.worker(name, "--jobs", "1", "--store", store, within=self.network.within(name))

    def builds(self) -> dict[str, LedgerBuild]:
        (order,) = self.ledger.orders(1)
        return {one.image: one for one in order.builds}

    def tries(self, image: str) -> list[tuple[str, str | None]]:
        return [(one.worker.split()[0], one.outcome) for one in self.builds()[image].tries]


@contextmanager
def cut_farm(folder: Path, lease: float) -> Iterator[CutFarm]:
    with farm_network.joined(["w1", "w2"]) as network:
        host, hub = network.address(HUB), network.within(HUB)
        with postgresql_server.running(host, hub) as server:
            server.create("farm")
            site = FarmSite(folder / "farm", "tls", authority(folder / "keys"), host=host)
            peer = Sshd(folder / "sshd", host=host, within=hub)
            remote = folder / "remote"
            remote.mkdir()
            where = peer.entry(remote)
            keys = f"identity_file: {where['identity_file']}, known_hosts_file: {where['known_hosts_file']}"
            (site.folder / "imagebuild.yaml").write_text(f"store: {{remote: '{where['url']}', {keys}}}\n")
            site.settings |= {
                "IMAGEBUILD_LEDGER": server.url("farm", host=host),
                "PGPASSFILE": str(server.password_file),
                "IMAGEBUILD_FAKES_LEASE": str(lease),
            }
            url = server.url("farm", server.password)
            try:
                peer.start()
                site.scheduler(hub)
                with closing(Ledger(address.parsed(url, from_environment=True))) as ledger:
                    yield CutFarm(site, network, ledger, remote, hub)
            finally:
                for name in network.holders:
                    if name != HUB:
                        network.join(name)
                site.close()
                peer.kill()


@pytest.mark.parametrize("lease", [12.0, pytest.param(LEASE, marks=pytest.mark.slow)])
def test_a_network_that_is_cut_and_comes_back(tmp_path: Path, lease: float) -> None:
    with cut_farm(tmp_path, lease) as farm:
        site, network = farm.site, farm.network
        farm.worker("w1")
        site.is_ready("w1")
        for name in ("slow-1", "web", "mail"):
            site.recipe(name)
        client = site.build("slow-1", within=farm.hub)
        until(lambda: site.begun(1))
        farm.worker("w2")
        site.is_ready("w2")

        network.cut("w1")
        time.sleep(lease / 4)
        network.join("w1")
        time.sleep(lease)
        assert farm.tries("slow-1") == [("w1", None)], "a moment is no reason to begin again"

        network.cut("w1")
        until(lambda: site.begun(2), 3 * lease + 60)
        until(lambda: bool(site.fakes("interrupted")), 3 * lease + 60)
        assert client.poll() is None, "the other worker waits, too"
        network.join("w1")
        site.go()
        assert client.wait(120) == 0, site.log("client")
        assert "worker w1 was lost" in site.notes()
        assert farm.tries("slow-1")[0] == ("w1", "lost")
        assert farm.tries("slow-1")[1] == ("w2", "built")

        first = site.processes[1]
        assert first.wait(120) == 3, site.log("w1")
        assert "the scheduler has gone" in site.log("w1")
        farm.worker("w1")  # as systemd does
        site.is_ready("w1")
        ends = site.built("slow-1", "web", "mail", name="again", within=farm.hub)
        assert all(end["event"] == "artifact" for end in ends), ends
        assert {image for image, _ in (line.split() for line in site.fakes("image"))} == {"slow-1", "web", "mail"}
        assert len(site.fakes("image")) == 3
        site.once("slow-1", "web", "mail")
        artifacts = [path for path in (farm.remote / "entries" / "artifact").rglob("*") if path.is_file()]
        assert len(artifacts) == 3, artifacts
        site.is_clean(site.folder / "w1", site.folder / "w2")
