"""Compare a cold build of a recipe with mkosi, which builds a raw image of the same packages natively.

    python -m bench.mkosi TOOLS [--rounds N] [--recipe NAME] [--workdir DIR]

TOOLS is a root file system with Debian 13 and mkosi; it is made if it does not exist. Both start with
nothing: imagebuild with an empty store, mkosi with empty caches. They run alternately. imagebuild
installs through a virtual machine, scrubs, and compresses to qcow2; mkosi does nothing of that. Its
image is not even bootable, and there is no security archive in it: both favour mkosi. Needs root.

CPU seconds are those of all programs, machines included. imagebuild writes them to its trace.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from imagebuild.build import plan as plans
from imagebuild.kickstrap import mirror as mirrors
from imagebuild.kickstrap.installer import KickstrapPreparation
from imagebuild.recipe.load import load
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.step import Tools

GOAL = 0.75
_INCLUDED = (
    "mkosi", "systemd-repart", "systemd-container", "udev", "dosfstools", "e2fsprogs", "mtools",
    "debian-archive-keyring", "ca-certificates", "zstd", "cpio", "kmod", "tar", "xz-utils", "fdisk",
)  # fmt: skip
_CONFIGURATION = """\
[Distribution]
Distribution=debian
Release={suite}
LocalMirror={mirror}

[Output]
Format=disk
ImageId=bench
OutputDirectory=/bench/out

[Build]
BuildSources=
WorkspaceDirectory=/bench/work
CacheDirectory=/bench/cache
PackageCacheDirectory=/bench/packages

[Content]
Bootable=no
Packages={packages}
"""
# mkosi refuses a root that is no mount point. All mounts are the program's own.
_INSIDE = """\
set -e
mount --bind "$0" "$0"; cd "$0"
mount -t proc proc proc; mount --rbind /sys sys; mount --rbind /dev dev; mount -t tmpfs tmpfs run
mkdir run/lock run/old; cp --remove-destination --dereference /etc/resolv.conf etc/resolv.conf
pivot_root . run/old
exec chroot . sh -c 'umount --lazy /run/old; cd /bench; exec mkosi --force build'
"""


@dataclass(frozen=True)
class Cost:
    """What one build took: seconds on the clock, and of processors."""

    clock: float
    cpu: float


def mkosi(tools: Path, configuration: str) -> Cost:
    """Build with mkosi in ``tools``, without anything cached. Raises CalledProcessError."""
    shutil.rmtree(tools / "bench", ignore_errors=True)
    for name in ("out", "work", "cache", "packages"):
        (tools / "bench" / name).mkdir(parents=True)
    (tools / "bench" / "mkosi.conf").write_text(configuration)
    argv = ["unshare", "--mount", "sh", "-c", _INSIDE, str(tools)]
    with (tools / "bench" / "log").open("w") as log:
        begin = time.monotonic()
        with subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL) as process:
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        print((tools / "bench" / "log").read_text()[-2000:], file=sys.stderr)
        raise subprocess.CalledProcessError(process.returncode, argv)
    return Cost(time.monotonic() - begin, used.ru_utime + used.ru_stime)


def imagebuild(recipe: str, workdir: Path) -> Cost:
    """Build with an empty store."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=workdir) as name:
        folder = Path(name)
        folder.chmod(0o711)  # QEMU's own user must be able to access the disks
        trace = folder / "trace.json"
        argv = [sys.executable, "-m", "imagebuild", "build", recipe, "--quiet", "--no-verify", "--trace", str(trace)]
        begin = time.monotonic()
        where = ["--store", str(folder / "store"), "--output", str(folder / "out")]
        subprocess.run([*argv, *where], check=True, stdout=subprocess.DEVNULL)
        clock = time.monotonic() - begin
        return Cost(clock, json.loads(trace.read_text())["otherData"]["cpu_seconds"])


def configuration(recipe: Recipe) -> str:
    """mkosi's configuration for the packages of ``recipe``, from this host's mirror."""
    mirror = mirrors.host_mirror()
    plan = plans.make(recipe, mirror, tools=Tools("", "", ""), secret_key=b"bench")
    assert isinstance(plan.preparation, KickstrapPreparation)
    packages = ",".join(plan.preparation.payload_spec.packages)
    return _CONFIGURATION.format(suite=recipe.os.codename, mirror=mirror.main, packages=packages)


def make_tools(tools: Path) -> None:
    """A root with Debian 13 and its mkosi."""
    argv = ["mmdebstrap", "--variant=apt", f"--include={','.join(_INCLUDED)}", "trixie", str(tools)]
    keyring = f"--keyring={mirrors.keyring()}"
    subprocess.run([*argv, keyring, str(mirrors.host_mirror().main)], check=True, stderr=subprocess.DEVNULL)


def main() -> None:
    """Build alternately, and print each round and the medians."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("tools", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--recipe", default="debian-13")
    parser.add_argument("--workdir", type=Path, default=Path("/var/tmp"), help="needs about 6 GiB")
    arguments = parser.parse_args()
    tools = arguments.tools.absolute()
    if not tools.exists():
        make_tools(tools)
    recipe = load(arguments.recipe)
    assert isinstance(recipe, Recipe)
    theirs, ours = [], []
    for number in range(1, arguments.rounds + 1):
        load_before = os.getloadavg()[0]
        theirs.append(mkosi(tools, configuration(recipe)))
        ours.append(imagebuild(arguments.recipe, arguments.workdir))
        print(f"round {number}, load before: {load_before:.1f}", flush=True)
        for name, cost in (("mkosi", theirs[-1]), ("imagebuild", ours[-1])):
            print(f"  {name:<11} {cost.clock:7.1f} s {cost.cpu:7.1f} CPU s", flush=True)
    clocks = [statistics.median(cost.clock for cost in costs) for costs in (theirs, ours)]
    cpus = [statistics.median(cost.cpu for cost in costs) for costs in (theirs, ours)]
    print(f"medians: mkosi {clocks[0]:.1f} s, {cpus[0]:.1f} CPU s; imagebuild {clocks[1]:.1f} s, {cpus[1]:.1f} CPU s")
    print(f"imagebuild / mkosi: clock {clocks[1] / clocks[0]:.2f} (goal: {GOAL}), CPU {cpus[1] / cpus[0]:.2f}")


if __name__ == "__main__":
    main()
