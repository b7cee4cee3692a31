"""All commands: one is imported when it is asked for, since each needs other parts of the program."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from types import ModuleType

import click

_PLACES = {
    "build": "build",
    "plan": "build",
    "history": "history",
    "lint": "lint",
    "render": "render",
    "list": "catalogue:list_recipes",
    "scrub": "scrub",
    "audit": "scrub",
    "doctor": "doctor",
    "operations": "operations",
    "init": "project",
    "schema": "project",
    "completion": "manual",
    "gc": "gc",
}
"""The name of each command, and the module of it, with the name in there where that is another."""


class Commands(Mapping[str, click.Command]):
    """The commands by their names, as click's group keeps them."""

    def __getitem__(self, name: str) -> click.Command:
        module, _, attribute = _PLACES[name].partition(":")
        command: click.Command = getattr(_imported(f"{__package__}.{module}"), attribute or name)
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(_PLACES)

    def __len__(self) -> int:
        return len(_PLACES)


def _imported(name: str) -> ModuleType:
    """A module. What it needs stays for good: the collector need not walk it again and again, which would take a tenth of a second."""
    if (there := sys.modules.get(name)) is not None:
        return there
    gc.disable()
    try:
        return import_module(name)
    finally:
        gc.freeze()
        gc.enable()
