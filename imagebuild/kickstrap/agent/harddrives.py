"""``python3 -m agent.harddrives``: the disks to install to, for %pre scripts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from . import devices
from .errors import InstallError

if TYPE_CHECKING:
    from collections.abc import Sequence


def listed(disks: Sequence[str]) -> str:
    """A line for each device: its name, and its size in MiB, as Anaconda's list-harddrives prints them."""
    return "".join(f"{Path(disk).name} {float(devices.disk_size(disk))}\n" for disk in disks)


if __name__ == "__main__":
    try:
        sys.stdout.write(listed(devices.find_disks()))
    except InstallError as error:
        sys.exit(str(error))
