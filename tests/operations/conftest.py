"""One appliance with a small ext4 and a small xfs disk, for all cases together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.operations.real import Scratch

_EXT4_SIZE = 128 << 20
_XFS_SIZE = 512 << 20
"""Bytes; mkfs.xfs refuses less than 300 MiB. The files are sparse."""


@pytest.fixture(scope="session")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Path]]:
    import guestfs

    folder = tmp_path_factory.mktemp("appliance")
    handle = guestfs.GuestFS(python_return_dict=True)
    handle.set_backend("direct")
    handle.set_backend_setting("force_tcg", "1")
    handle.set_tmpdir(str(folder))
    for name, size in (("ext4", _EXT4_SIZE), ("xfs", _XFS_SIZE)):
        with (folder / name).open("wb") as image:
            image.truncate(size)
        handle.add_drive_opts(str(folder / name), format="raw", discard="enable", cachemode="unsafe")
    handle.launch()
    yield handle, folder
    handle.close()


@pytest.fixture(scope="session")
def ext4(appliance: tuple[Any, Path]) -> Scratch:
    handle, folder = appliance
    return Scratch(handle, "/dev/sda", "ext4", folder / "ext4", folder / "exchange.tar")


@pytest.fixture(scope="session")
def xfs(appliance: tuple[Any, Path]) -> Scratch:
    handle, folder = appliance
    return Scratch(handle, "/dev/sdb", "xfs", folder / "xfs", folder / "exchange.tar")
