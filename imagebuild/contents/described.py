"""An image with everything that is known about it: its file, its inventory, and how it was made."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from imagebuild.contents.inventory import FileRecord, Inventory


@dataclass(frozen=True)
class AppliedOperation:
    """An operation that a build applied, and how many changes it recorded."""

    name: str
    status: str
    changes: int


@dataclass(frozen=True)
class DescribedImage:
    """``source`` says where the inventory is from. ``operations`` is None if there is no manifest
    of this image; ``version`` and ``fingerprint`` are then empty. Sizes are in bytes."""

    image: str
    format: str
    file_size: int
    virtual_size: int
    source: Literal["inventory", "disk"]
    inventory: Inventory
    recipe: str = ""
    version: str = ""
    fingerprint: str = ""
    operations: tuple[AppliedOperation, ...] | None = None


def data(image: DescribedImage, *, files: bool = False) -> dict[str, Any]:
    """All of it as JSON has it, except what only an SBOM needs; the list of all files only with ``files``."""
    inventory = image.inventory
    about = {name: value for name, value in vars(image).items() if name != "inventory"}
    operations = None if image.operations is None else [asdict(one) for one in image.operations]
    # thousands of files would be copied one by one
    found = asdict(replace(inventory, files=(), installed=None, unowned=None))
    del found["installed"], found["unowned"]
    found |= {
        "used": inventory.used,
        "listening": [one.name for one in inventory.listening],
        "privileged": [file_data(one) for one in inventory.privileged],
        "files": [file_data(one) for one in inventory.files] if files else len(inventory.files),
    }
    return {**about, "operations": operations, **found}


def file_data(one: FileRecord) -> dict[str, Any]:
    """A file as JSON has it; ``mode`` in octal digits, as people write it."""
    return {**one._asdict(), "mode": f"{one.mode:04o}", "privileges": list(one.privileges)}
