"""One appliance with a small ext4 and a small xfs disk, shared by all cases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.appliance import appliance
from tests.operations.real import Scratch

_EXT4_SIZE = 128 << 20
_XFS_SIZE = 304 << 20
"""In bytes; mkfs.xfs rejects less than 300 MiB. The files are sparse, but free space is overwritten
by some tests."""


Disks = tuple[Any, list[Path]]


@pytest.fixture(scope="session")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disks]:
    with appliance(tmp_path_factory.mktemp("appliance"), _EXT4_SIZE, _XFS_SIZE) as started:
        yield started


@pytest.fixture(scope="session")
def ext4(disks: Disks) -> Scratch:
    handle, (image, _) = disks
    return Scratch(handle, "/dev/sda", "ext4", image, image.with_name("exchange.tar"))


@pytest.fixture(scope="session")
def xfs(disks: Disks) -> Scratch:
    handle, (_, image) = disks
    return Scratch(handle, "/dev/sdb", "xfs", image, image.with_name("exchange.tar"))
