"""Compare a scrub of a disk that imagebuild did not make with virt-sysprep.

    python -m bench.foreign [--disk DISK.raw] [--rounds N] [--workdir DIR]

Without a disk, one is made: a Debian 12 from the host's mirror on a raw disk of 4 GiB with one
partition. It needs root, mmdebstrap, sfdisk and mke2fs. Then `imagebuild scrub DISK --output NEW`
and `virt-sysprep -a COPY` take turns. The copy that virt-sysprep works on is made before, and not
counted; imagebuild's own copy, and making removed data unreadable, are. Goal: at most 0.35 of
virt-sysprep's time. The exit status is 1 if it is missed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import appliance, scrub
from imagebuild.host import accelerator

GOAL = 0.35
_SIZE = 4 << 30
_START = 1 << 20
_PACKAGES = "linux-image-cloud-amd64,openssh-server,systemd-sysv,ifupdown,isc-dhcp-client,cron,rsyslog,sudo,less"
_LIMIT = 3600.0


def make(disk: Path, folder: Path) -> None:
    """Write a Debian 12 to a new raw disk."""
    root = folder / "root"
    _run("mmdebstrap", "--variant=minbase", f"--include={_PACKAGES}", "bookworm", root)
    (root / "etc/fstab").write_text("/dev/sda1 / ext4 defaults 0 1\n")
    with disk.open("wb") as file:
        file.truncate(_SIZE)
    _run("sfdisk", "--quiet", disk, given=f"start={_START // 512}, type=83\n")
    _run("mke2fs", "-q", "-t", "ext4", "-d", root, "-E", f"offset={_START}", disk, f"{(_SIZE - _START) // 1024}k")


def _run(*argv: str | Path, given: str | None = None) -> None:
    subprocess.run([str(word) for word in argv], input=given, text=True, timeout=_LIMIT, check=True)


def compare(disk: Path, rounds: int, folder: Path) -> bool:
    """Scrub and sysprep ``disk`` alternately; True if the goal is met."""
    emulated = accelerator.prove().emulated
    settings = {"LIBGUESTFS_BACKEND": "direct"} | ({"LIBGUESTFS_BACKEND_SETTINGS": "force_tcg"} if emulated else {})
    seconds: dict[str, list[scrub.Seconds]] = {"imagebuild": [], "virt-sysprep": []}
    for number in range(rounds):
        for who in sorted(seconds, reverse=bool(number % 2)):
            if who == "imagebuild":
                spent = scrub.scrub(scrub.HERE, disk, folder, "this")
            else:
                copy = folder / "copy.raw"
                _run("cp", "--sparse=always", disk, copy)
                spent, _ = appliance.measured(["virt-sysprep", "--quiet", "--format=raw", "-a", str(copy)], settings)
                copy.unlink()
            seconds[who].append(spent)
            print(
                f"round {number + 1}, {who}: {spent[0]:.1f} s, CPU {spent[1]:.1f} s, load {os.getloadavg()[0]:.1f}",
                flush=True,
            )
    ratios = appliance.compared(seconds, "imagebuild", "virt-sysprep", GOAL)
    return ratios[0] <= GOAL


def main() -> int:
    """Measure; 1 if the goal is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--disk", type=Path, help="a raw disk with a guest; it is not changed")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workdir", type=Path, default=Path("/var/tmp"), help="needs about 6 GiB")
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} processors, load before: {os.getloadavg()[0]:.1f}", flush=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=arguments.workdir) as name:
        disk = arguments.disk
        if disk is None:
            disk = Path(name, "debian-12.raw")
            make(disk, Path(name))
        return 0 if compare(disk.resolve(), arguments.rounds, Path(name)) else 1


if __name__ == "__main__":
    sys.exit(main())
