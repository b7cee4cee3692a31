"""Customise and convert, compared with the usual tools on a copy of the same disk.

    python -m bench.customise DISK.raw [--rounds N] [--workdir DIR]

The usual tools: virt-sysprep; virt-customize (one command that does nothing); virt-sparsify
--in-place; qemu-img convert -c. imagebuild: the default operations in one launch, then its own
conversion to a qcow2 with zstd. Copying the disk is not counted for either. The goals: the
operations in at most 0.3 of the time of the first three tools, everything in at most 0.35 of the
time of all four.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from bench import rounds
from imagebuild import customise
from imagebuild.customise import registry
from imagebuild.host import accelerator
from imagebuild.host.process import run
from imagebuild.image import qemu_img
from imagebuild.image.conversion import convert

GOAL = 0.35
GOAL_OF_OPERATIONS = 0.3
_LIMIT = 3600.0
Seconds = dict[str, float]


def measure(disk: Path, folder: Path, number: int) -> None:
    """Run one round of both, one after the other."""
    accel = accelerator.prove().accelerator
    print(f"round {number}: {disk.name}, {disk.stat().st_blocks * 512 / (1 << 20):.0f} MiB of data, {accel}")
    chain_image, our_image = folder / "chain.qcow2", folder / "ours.qcow2"
    chain = usual_chain(_copy(disk, folder / "chain.raw"), chain_image, accelerator=accel)
    ours = _ours(_copy(disk, folder / "ours.raw"), our_image, folder, accelerator=accel)
    _report("the usual tools", chain, chain_image)
    _report("imagebuild", ours, our_image)
    tools = sum(seconds for name, seconds in chain.items() if name != "qemu-img")
    print(f"  operations alone: {ours['customise'] / tools:.2f} of the usual tools' (goal: {GOAL_OF_OPERATIONS})")
    ratio = sum(ours.values()) / sum(chain.values())
    size = our_image.stat().st_size / chain_image.stat().st_size
    print(f"  with conversion: {ratio:.2f} of the usual tools' (goal: {GOAL}), artifact {size:.2f} of theirs")


def _copy(disk: Path, copy: Path) -> Path:
    qemu_img.copy_file(disk, copy)
    return copy


def usual_chain(disk: Path, image: Path, *, accelerator: accelerator.Accelerator) -> Seconds:
    """Turn an installed disk into a template and ``image`` with the usual tools; seconds of each."""
    env = {"LIBGUESTFS_BACKEND": "direct"} | (
        {"LIBGUESTFS_BACKEND_SETTINGS": "force_tcg"} if accelerator == "tcg" else {}
    )
    commands: list[list[str | Path]] = [
        ["virt-sysprep", "--format", "raw", "-a", disk],
        ["virt-customize", "--format", "raw", "-a", disk, "--run-command", "true"],
        ["virt-sparsify", "--in-place", "--format", "raw", disk],
        ["qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", disk, image],
    ]
    return {str(argv[0]): run(argv, timeout=_LIMIT, env=env).seconds for argv in commands}


def _ours(disk: Path, image: Path, folder: Path, *, accelerator: accelerator.Accelerator) -> Seconds:
    calls = [registry.call(name) for name in (*registry.HOUSE_RULES, *registry.TEMPLATE)]
    return {
        "customise": _timed(
            lambda: customise.run(disk, "raw", calls, accel=accelerator, workdir=folder, network=False)
        ),
        "convert": _timed(lambda: convert(disk, {"qcow2": image})),
    }


def _timed(work: Callable[[], object]) -> float:
    begin = time.monotonic()
    work()
    return time.monotonic() - begin


def _report(who: str, seconds: Seconds, image: Path) -> None:
    parts = ", ".join(f"{name} {value:.1f}" for name, value in seconds.items())
    print(f"  {who}: {sum(seconds.values()):.1f} s ({parts}), {image.stat().st_size / (1 << 20):.1f} MiB")


if __name__ == "__main__":
    rounds.main(__doc__ or "", "a raw disk with an installed Debian", measure)
