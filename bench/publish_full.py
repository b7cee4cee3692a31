"""Publish a file in full, compared with scp and sha256sum.

    python -m bench.publish_full IMAGE.qcow2 [--rounds N] [--workdir DIR]

The usual commands copy with scp and compute the digest on the target with ssh. The agent does both,
and more: it also waits until the file is on the disk, and reads back what is there. They take turns,
over an SSH server on the loopback interface; the first of a round changes. CPU time includes both
ends. The goal: at most 1.25 of the time of the usual commands.
"""

from __future__ import annotations

import argparse
import getpass
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.loopback_ssh import LoopbackSsh, loopback_ssh
from imagebuild.files import sha256
from imagebuild.host.process import run
from imagebuild.publish.agent_client import HostAgent

GOAL = 1.25
_LIMIT = 3600.0
Taken = tuple[float, float]
"""Seconds of elapsed time and CPU time."""


def main() -> None:
    """Measure both, and print the medians and their ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("image", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workdir", type=Path, default=Path("/var/tmp"))
    arguments = parser.parse_args()
    image, digest = arguments.image, sha256(arguments.image)
    print(f"{image.stat().st_size / (1 << 20):.0f} MiB, {os.cpu_count()} processors")
    taken: dict[str, list[Taken]] = {"scp, sha256sum": [], "agent": []}
    with tempfile.TemporaryDirectory(prefix="bench-", dir=arguments.workdir) as name:
        folder = Path(name)
        (folder / "keys").mkdir()
        (folder / "pool").mkdir()
        with loopback_ssh(folder / "keys") as server:
            works: dict[str, Callable[[], None]] = {
                "scp, sha256sum": lambda: _scp(server, image, folder / "pool", digest),
                "agent": lambda: _agent(server, image, folder / "pool", digest),
            }
            for number in range(arguments.rounds + 1):
                for who in sorted(works, reverse=bool(number % 2)):
                    found = _timed(works[who], server)
                    (folder / "pool" / "web--1--0.qcow2").unlink()
                    os.sync()  # what one leaves to be written is not the other's work
                    if number:  # the first round warms up
                        taken[who].append(found)
                        load = os.getloadavg()[0]
                        print(f"  {who:<16} {found[0]:6.2f} s, CPU {found[1]:6.2f} s, load {load:.1f}", flush=True)
    clock, processors = (
        {who: statistics.median(one[which] for one in found) for who, found in taken.items()} for which in (0, 1)
    )
    for who in taken:
        print(f"{who:<16} median {clock[who]:6.2f} s, CPU {processors[who]:6.2f} s")
    ratios = [measure["agent"] / measure["scp, sha256sum"] for measure in (clock, processors)]
    pairs = statistics.median(a[0] / b[0] for a, b in zip(taken["agent"], taken["scp, sha256sum"], strict=True))
    print(f"agent: {ratios[0]:.2f} of the time ({pairs:.2f} by rounds), {ratios[1]:.2f} of the CPU time; goal {GOAL}")


def _scp(server: LoopbackSsh, image: Path, pool: Path, digest: str) -> None:
    target = pool / "web--1--0.qcow2"
    there = f"{getpass.getuser()}@127.0.0.1:{target}"
    run(["scp", "-q", *server.options, "-P", str(server.port), image, there], timeout=_LIMIT)
    if digest not in run(server.command(["sha256sum", str(target)]), timeout=_LIMIT).stdout:
        raise ValueError("scp stored other bytes")


def _agent(server: LoopbackSsh, image: Path, pool: Path, digest: str) -> None:
    with HostAgent(server.command) as agent:
        agent.put(str(pool), "web--1--0.qcow2", image, image.stat().st_size, digest)


def _timed(work: Callable[[], None], server: LoopbackSsh) -> Taken:
    begin, before = time.monotonic(), sum(os.times()[:4]) + server.processor_seconds()
    work()
    clock = time.monotonic() - begin
    time.sleep(0.2)  # until the server has seen its connection end
    return clock, sum(os.times()[:4]) + server.processor_seconds() - before


if __name__ == "__main__":
    main()
