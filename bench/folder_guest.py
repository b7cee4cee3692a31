"""A root file system in a folder of this machine, as the part of a guest that the inventory needs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from imagebuild.contents.inventory import Inventory
from imagebuild.customise.contents.collect import collect
from imagebuild.customise.files import Files


class FolderGuest:
    """Runs the scripts of the inventory on a folder, as libguestfs's appliance does on a disk."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, path: str, limit: int) -> bytes:
        """The first bytes of a file whose path has no links in it."""
        with open(os.fsencode(f"{self._root}{path}"), "rb") as file:  # noqa: PTH123 - any bytes in its name
            return file.read(limit)

    def appliance_output(self, script: str, paths: Sequence[str] = ()) -> bytes:
        """What a script prints: see ``imagebuild.guest.disk``."""
        words = [f".{path}" for path in paths] or [str(self._root)]
        argv = [os.fsencode(word) for word in ("sh", "-c", script, "sh", *words)]
        return subprocess.run(argv, cwd=self._root, stdout=subprocess.PIPE, check=False).stdout


def inventory_of(root: Path) -> Inventory:
    """The inventory of the system in a folder."""
    return collect(cast(Files, FolderGuest(root)))
