"""Volumes for tests: partitions of any size, and LUKS headers that open quickly."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from string import ascii_lowercase
from typing import Any

_MIB = 2048
"""Sectors."""


def partition(g: Any, disk: str, sizes: Sequence[int]) -> None:
    """Write a GPT with partitions of these sizes in MiB, in one write, because the kernel rereads
    the table after each.

    udev makes the kernel reread it once more when the writer closes the disk, and the partitions
    disappear and reappear. So the disk is locked until they exist.
    """
    table = ["label: gpt"]
    start = _MIB
    for size in sizes:
        table.append(f"start={start}, size={size * _MIB}")
        start += size * _MIB
    lines = "\\n".join(table)
    shell(g, f"printf '{lines}\\n' | flock {disk} sfdisk {disk} 2>&1")
    present(g, *(f"{disk}{number}" for number in range(1, len(sizes) + 1)))


def present(g: Any, *devices: str) -> None:
    """Wait until udev is idle and the devices exist; raises RuntimeError after 30 s."""
    shell(
        g,
        "for second in $(seq 30); do udevadm settle; sleep 1; "
        f"missing=; for device in {' '.join(devices)}; do test -b $device || missing=$device; done; "
        "test -z $missing && exit 0; done; echo $missing is missing; exit 1",
    )


def encrypt(g: Any, device: str, passphrase: str, version: int) -> None:
    """Format LUKS with the smallest possible number of rounds, which libguestfs's own call cannot
    set.
    """
    rounds = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000"
    shell(
        g,
        f"echo -n '{passphrase}' | cryptsetup -q luksFormat --type luks{version} {rounds} {device} - && udevadm settle",
    )


def shell(g: Any, command: str) -> str:
    """The output of a command in the appliance itself; raises RuntimeError if the command fails.

    The kernel names disks in the order of detection, libguestfs by their positions. Names in the
    command and in its output are libguestfs's.
    """
    by_place = str(g.debug("sh", ["readlink -f $(ls -v /dev/disk/by-path/*-scsi-0:0:*:0)"]))
    kernels = {f"/dev/sd{letter}": name for letter, name in zip(ascii_lowercase, by_place.split(), strict=False)}
    return _renamed(str(g.debug("sh", [_renamed(command, kernels)])), {name: ours for ours, name in kernels.items()})


def _renamed(text: str, names: Mapping[str, str]) -> str:
    return re.sub(r"/dev/sd[a-z]", lambda found: names.get(found[0], found[0]), text)
