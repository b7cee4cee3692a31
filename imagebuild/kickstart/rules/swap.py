"""There is a swap partition, volume or file, or an `autopart` that creates one.

A template is copied to guests of every size: its swap takes space in each copy, wears the storage
that the guests share, and contains former memory contents. Memory is for the hypervisor to assign.
Remove the swap; with `autopart`, write `--noswap`. Give a guest that needs swap a disk for it.
"""

from __future__ import annotations

from collections.abc import Iterator

from imagebuild.errors import Severity
from imagebuild.kickstart.parsed import Command, Kickstart, Said
from imagebuild.kickstart.rule import KickstartTarget
from imagebuild.kickstart.storage import places, without

SEVERITY: Severity = "error"
OPINION = True


def find(kickstart: Kickstart, target: KickstartTarget) -> Iterator[Said]:
    """Every command that creates swap."""
    for place in places(kickstart):
        if place.is_swap:
            yield Said(place.command.line, f"{place.command.name} makes swap", "remove it")
    for command in kickstart.named("autopart"):
        if not _is_without_swap(command):
            yield Said(command.line, "autopart makes swap", without(command, "--noswap"))


def _is_without_swap(command: Command) -> bool:
    return command.has("--noswap")
