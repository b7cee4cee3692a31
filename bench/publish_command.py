"""`imagebuild publish` to a libvirt host, compared with scp and sha256sum.

    python -m bench.publish_command ARTIFACT_FOLDER [--rounds N] [--workdir DIR]

A host of the test fleet (root is needed). The usual commands copy the image with scp and compute its
digest there over ssh. The other is the whole command line: it reads and checks the artifact, connects
by SSH and to libvirt, takes the lock, sends, reads back from the disk, and switches. They take turns.
The goal: at most 1.25 of the time of the usual commands.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.publish.fleet import FleetHost, fleet
from tests.publish.publisher import Publisher

GOAL = 1.25


def main() -> None:
    """Measure both, and print the medians and their ratio."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workdir", type=Path, default=Path("/var/tmp"))
    arguments = parser.parse_args()
    artifact = arguments.artifact.resolve()
    (image,) = artifact.glob("*.qcow2")
    print(f"{image.stat().st_size / (1 << 20):.0f} MiB, {os.cpu_count()} processors")
    taken: dict[str, list[float]] = {"scp, sha256sum": [], "imagebuild publish": []}
    with tempfile.TemporaryDirectory(prefix="bench-", dir=arguments.workdir) as name:
        folder = Path(name)
        (folder / "fleet").mkdir()
        with fleet(1, folder=folder / "fleet") as (host,):
            Publisher(folder, [host])
            works: dict[str, Callable[[], None]] = {
                "scp, sha256sum": lambda: _scp(host, image),
                "imagebuild publish": lambda: _publish(folder, artifact),
            }
            for number in range(arguments.rounds + 1):
                for who in sorted(works, reverse=bool(number % 2)):
                    begin = time.monotonic()
                    works[who]()
                    seconds = time.monotonic() - begin
                    _clear(host)
                    os.sync()  # what one leaves to be written is not the other's work
                    if number:  # the first round warms up
                        taken[who].append(seconds)
                        print(f"  {who:<18} {seconds:6.2f} s, load {os.getloadavg()[0]:.1f}", flush=True)
    clock = {who: statistics.median(found) for who, found in taken.items()}
    for who, seconds in clock.items():
        print(f"{who:<18} median {seconds:6.2f} s")
    pairs = zip(taken["imagebuild publish"], taken["scp, sha256sum"], strict=True)
    ratio = clock["imagebuild publish"] / clock["scp, sha256sum"]
    print(f"publish: {ratio:.2f} of the time ({statistics.median(a / b for a, b in pairs):.2f} by rounds); goal {GOAL}")


def _scp(host: FleetHost, image: Path) -> None:
    target, where = f"{host.pool_path}/copied.qcow2", "root@127.0.0.1"
    scp = ["scp", "-q", "-F", host.ssh_config, "-P", str(host.port)]
    subprocess.run([*scp, image, f"{where}:{target}"], check=True)
    ssh = ["ssh", "-F", host.ssh_config, "-p", str(host.port), where]
    subprocess.run([*ssh, "sha256sum", target], check=True, capture_output=True)


def _publish(folder: Path, artifact: Path) -> None:
    argv = [sys.executable, "-m", "imagebuild", "publish", str(artifact), "--to", "all", "--unverified"]
    subprocess.run(argv, cwd=folder, check=True, capture_output=True)


def _clear(host: FleetHost) -> None:
    for name in host.virsh("list", "--all", "--name").split():
        host.virsh("undefine", name)
    host.run("find", host.pool_path, "-mindepth", "1", "-delete")
    host.virsh("pool-refresh", "default")


if __name__ == "__main__":
    main()
