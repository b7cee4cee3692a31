"""Volumes for tests: partitions of any sizes, and LUKS headers that open in no time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_MIB = 2048
"""Sectors."""


def partition(g: Any, disk: str, sizes: Sequence[int]) -> None:
    """A GPT with partitions of these sizes in MiB."""
    g.part_init(disk, "gpt")
    start = _MIB
    for size in sizes:
        g.part_add(disk, "p", start, start + size * _MIB - 1)
        start += size * _MIB
    shell(g, "udevadm settle")


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
