"""Volumes for tests: partitions of any sizes, and LUKS headers that open in no time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_MIB = 2048
"""Sectors."""


def partition(g: Any, disk: str, sizes: Sequence[int]) -> None:
    """A GPT with partitions of these sizes in MiB, in one write: the kernel reads the table again after each.

    udev has it read once more when the writer closes the disk, and the partitions go and come with that: so the disk
    is locked until they are there.
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
    """Wait until udev has nothing to do and the devices are there; RuntimeError after 30 s."""
    shell(
        g,
        "for second in $(seq 30); do udevadm settle; sleep 1; "
        f"missing=; for device in {' '.join(devices)}; do test -b $device || missing=$device; done; "
        "test -z $missing && exit 0; done; echo $missing is missing; exit 1",
    )


def encrypt(g: Any, device: str, passphrase: str, version: int) -> None:
    """LUKS with as few rounds as there can be, which libguestfs's own call cannot be told."""
    rounds = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000"
    shell(
        g,
        f"echo -n '{passphrase}' | cryptsetup -q luksFormat --type luks{version} {rounds} {device} - && udevadm settle",
    )


def shell(g: Any, command: str) -> str:
    """What a command says in the appliance itself; RuntimeError if it fails."""
    return str(g.debug("sh", [command]))
