"""Compare a scrub with virt-sysprep and virt-sparsify, on a guest with a marker in each
machine-specific place.

    python -m bench.markers [--only FILESYSTEM/FORMAT]… [--list] [--workdir DIR]

The guest is created from ``markers.yaml``, once for each file system: ext4 with blocks of 1 and 4
KiB, and xfs. Copies of it, raw and qcow2, are processed by ``imagebuild scrub`` with its default
set, and by virt-sysprep with its default operations and ``virt-sparsify --in-place``. Two kinds of
markers are counted: live ones, which are still in a file of the result, and those that are in no
file but still in its bytes, after a conversion to raw. Goals: at most half as many live markers as
virt-sysprep leaves, and none of the other kind. The exit status is 1 if a goal is missed, or if
imagebuild removes a file that must stay.
"""

from __future__ import annotations

import argparse
import mmap
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from bench import lived_in
from bench.lived_in import Guest, Marker

GOAL_LIVE, GOAL_BYTES = 0.5, 0
FORMATS = ("raw", "qcow2")
COMBINATIONS = tuple(f"{name}/{fmt}" for name in lived_in.FILE_SYSTEMS for fmt in FORMATS)
_LIMIT = 3600.0


@dataclass
class Result:
    """The result of one side for a copy of the guest, converted to ``raw``, and its time."""

    side: str
    raw: Path
    clock: float
    processors: float
    live: tuple[Marker, ...] = ()
    in_bytes: frozenset[bytes] = frozenset()
    """Values that are in no file but in the image's bytes."""
    lost: tuple[str, ...] = ()
    """Files that must stay and are missing or changed."""


def measure(combination: str, image: Path, guest: Guest, folder: Path) -> tuple[Result, Result]:
    """Run both sides on copies of ``image``."""
    name, fmt = combination.split("/")
    made = []
    for side, tools in (("imagebuild", _ours), ("virt-sysprep", _theirs)):
        copy = folder / f"{side}-{name}.{fmt}"
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", fmt, image, copy], check=True)
        begin, before = time.monotonic(), _processors()
        result = tools(copy, fmt, folder)
        clock, processors = time.monotonic() - begin, _processors() - before
        raw = folder / f"{side}-{name}-{fmt}-result.raw"
        subprocess.run(["qemu-img", "convert", "-f", fmt, "-O", "raw", result, raw], check=True)
        made.append(Result(side, raw, clock, processors))
        for file in {copy, result}:
            file.unlink()
    for result, files in zip(made, lived_in.read([one.raw for one in made], folder), strict=True):
        _count(result, files, guest)
        result.raw.unlink()
    return made[0], made[1]


def _ours(copy: Path, fmt: str, folder: Path) -> Path:
    result = copy.with_suffix(f".scrubbed.{fmt}")
    argv = [
        sys.executable,
        "-m",
        "imagebuild",
        "scrub",
        copy,
        "--format",
        fmt,
        "--output",
        result,
        "--store",
        folder / "store",
    ]
    # 1: something could not be done, and was reported.
    _run(argv, os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}, (0, 1))
    return result


def _theirs(copy: Path, fmt: str, folder: Path) -> Path:
    env = os.environ | {"LIBGUESTFS_BACKEND": "direct"}
    if lived_in.working_accelerator(folder) == "tcg":
        env["LIBGUESTFS_BACKEND_SETTINGS"] = "force_tcg"
    _run(["virt-sysprep", "--quiet", "--format", fmt, "-a", copy], env, (0,))
    _run(["virt-sparsify", "--quiet", "--in-place", "--format", fmt, copy], env, (0,))
    return copy


def _run(argv: list[str | Path], env: dict[str, str], good: tuple[int, ...]) -> None:
    done = subprocess.run(argv, env=env, timeout=_LIMIT, check=False, capture_output=True, text=True)
    if done.returncode not in good:
        raise SystemExit(f"{argv[0]} ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def _processors() -> float:
    """CPU time of all child processes so far, including their children, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _count(result: Result, files: dict[str, bytes], guest: Guest) -> None:
    """Count what is still in files, and what is only in the bytes of the image.

    A value may have moved to another file; the hostname is in many files.
    """
    host = lived_in.HOST.encode()
    readable = set().union(*map(lived_in.values, files.values()))
    result.live = tuple(
        one
        for one in guest.markers
        if one.value in files.get(one.path, b"") or (one.value != host and one.value in readable)
    )
    with result.raw.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        found = lived_in.values(data)
        # The hostname is searched for separately, since it does not belong to a single place.
        if data.find(host) >= 0 and not any(host in content for content in files.values()):
            found.add(host)
    result.in_bytes = frozenset(found - readable)
    result.lost = tuple(path for path, content in guest.controls.items() if files.get(path) != content)


def _report(combination: str, guest: Guest, ours: Result, theirs: Result) -> bool:
    """Print the figures; True if all goals are met."""
    for one in (ours, theirs):
        print(
            f"{combination:<14} {one.side:<13} {len(one.live):4} of {len(guest.markers)} live, "
            f"{len(one.in_bytes):4} in the bytes, "
            f"{len(one.lost):2} of {len(guest.controls)} wrongly removed, {one.clock:6.1f} s, CPU "
            f"{one.processors:6.1f} s"
        )
    ratio = len(ours.live) / max(len(theirs.live), 1)
    met = ratio <= GOAL_LIVE and len(ours.in_bytes) <= GOAL_BYTES and not ours.lost
    print(
        f"{combination:<14} live {ratio:.2f} of virt-sysprep's (goal: {GOAL_LIVE}), in the bytes "
        f"{len(ours.in_bytes)} (goal: {GOAL_BYTES}): "
        f"{'met' if met else 'MISSED'}",
        flush=True,
    )
    return met


def _list(ours: Result, theirs: Result, guest: Guest) -> None:
    """Print which markers are left, by families."""
    ours_live, theirs_live = (Counter(one.family for one in result.live) for result in (ours, theirs))
    for family, number in Counter(one.family for one in guest.markers).items():
        print(
            f"  {family:<28} {number:4}: imagebuild leaves {ours_live[family]:4}, virt-sysprep {theirs_live[family]:4}"
        )
    gone = {one.path for one in guest.markers} - {one.path for one in theirs.live}
    for one in ours.live:
        print(f"  left: {one.path}{'  (virt-sysprep removes it)' if one.path in gone else ''}")
    where = {one.value: one.path for one in guest.markers} | {
        value: path for path, content in guest.before.items() for value in lived_in.values(content)
    }
    for result in (ours, theirs):
        for value in sorted(result.in_bytes):
            print(f"  in the bytes, {result.side}: {where.get(value, value.decode())}")
        for path in result.lost:
            print(f"  lost, {result.side}: {path}")


def main() -> int:
    """Run the requested combinations; 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", action="append", choices=COMBINATIONS, help="run only this combination; repeatable")
    parser.add_argument("--list", action="store_true", help="also print which markers are left")
    parser.add_argument("--workdir", type=Path, default=Path("/var/tmp"), help="needs about 3 GiB")
    arguments = parser.parse_args()
    combinations = arguments.only or COMBINATIONS
    guest = lived_in.table()
    print(f"{os.cpu_count()} processors, load before: {os.getloadavg()[0]:.1f}; {_versions()}")
    print(f"{len(guest.markers)} markers, {len(guest.controls)} files that must stay", flush=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=arguments.workdir) as name:
        folder = Path(name)
        print(f"accelerator: {lived_in.working_accelerator(folder)}", flush=True)
        names = list(dict.fromkeys(one.split("/")[0] for one in combinations))
        images = lived_in.make(guest, folder, names)
        met = []
        for combination in combinations:
            ours, theirs = measure(combination, images[combination.split("/")[0]], guest, folder)
            met.append(_report(combination, guest, ours, theirs))
            if arguments.list:
                _list(ours, theirs, guest)
    return 0 if all(met) else 1


def _versions() -> str:
    """The versions of the other tools."""
    outputs = [
        subprocess.run([tool, "--version"], check=True, capture_output=True, text=True).stdout
        for tool in ("virt-sysprep", "virt-sparsify")
    ]
    return ", ".join(one.splitlines()[0] for one in outputs)


if __name__ == "__main__":
    sys.exit(main())
