"""A swap partition, volume or file, or `autopart` that makes one.

A template is copied to guests of every size: swap in it costs space in each copy, wears the storage that guests share,
and holds what was in memory. Memory is the hypervisor's to give. Leave the swap out; with `autopart` write `--noswap`.
A guest that needs swap gets a disk for it.
"""

from __future__ import annotations

from collections.abc import Iterator

from imagebuild.errors import Severity
from imagebuild.kickstart.parse import Command, Kickstart, Said
from imagebuild.kickstart.rule import KickstartTarget
from imagebuild.kickstart.storage import places

SEVERITY: Severity = "error"


def find(kickstart: Kickstart, target: KickstartTarget) -> Iterator[Said]:
    """Every command that makes swap."""
    for place in places(kickstart):
        if place.is_swap:
            yield Said(place.command.line, f"{place.command.name} makes swap", "remove it")
    for command in kickstart.named("autopart"):
        if not _is_without_swap(command):
            yield Said(command.line, "autopart makes swap", "write autopart --noswap, or the partitions themselves")


def _is_without_swap(command: Command) -> bool:
    return command.has("--noswap")
