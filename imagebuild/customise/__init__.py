"""Changes a guest's disk offline: one launch of the libguestfs appliance, many small operations."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imagebuild.customise.operation import OperationCall
    from imagebuild.customise.process import again_if_stuck, run

__all__ = [
    "OperationCall",
    "again_if_stuck",
    "run",
]

_PLACES = {
    "OperationCall": "operation",
    "again_if_stuck": "process",
    "run": "process",
}


def __getattr__(name: str) -> Any:
    """Import names on first use: code that only reads recipes does not need the code that works on
    disks."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
