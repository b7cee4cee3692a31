"""Access to a guest's disks through libguestfs.

The contents of a guest's disk are read by the kernel of the appliance, never by that of the host,
and every path is resolved inside the guest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imagebuild.guest.disk import GuestDisk
    from imagebuild.guest.encryption import Key
    from imagebuild.guest.launch import opened
    from imagebuild.guest.layout import RootFilesystem, find_root
    from imagebuild.guest.lookup import GuestFile, Kind, Lookup, literal
    from imagebuild.guest.removal import Cleared

__all__ = [
    "Cleared",
    "GuestDisk",
    "GuestFile",
    "Key",
    "Kind",
    "Lookup",
    "RootFilesystem",
    "find_root",
    "literal",
    "opened",
]

_PLACES = {
    "Cleared": "removal",
    "GuestDisk": "disk",
    "GuestFile": "lookup",
    "Key": "encryption",
    "Kind": "lookup",
    "Lookup": "lookup",
    "RootFilesystem": "layout",
    "find_root": "layout",
    "literal": "lookup",
    "opened": "launch",
}


def __getattr__(name: str) -> Any:
    """Import names on first use: operations import this package for the pattern of a literal name,
    and checking a recipe needs no access to disks."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
