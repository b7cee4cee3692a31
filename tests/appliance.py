"""libguestfs's appliance for tests that create a guest's disk themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from imagebuild.guest import launch


@contextmanager
def appliance(tmpdir: Path, *sizes: int) -> Iterator[tuple[Any, list[Path]]]:
    """A running appliance with new raw disks of ``sizes`` bytes in ``tmpdir``, and their files; it
    is shut down at the end.
    """
    disks = [tmpdir / f"disk{number}.raw" for number in range(len(sizes))]
    for disk, size in zip(disks, sizes, strict=True):
        with disk.open("wb") as image:
            image.truncate(size)
    with started(tmpdir, disks) as g:
        yield g, disks


@contextmanager
def started(tmpdir: Path, disks: Sequence[Path]) -> Iterator[Any]:
    """A running appliance with these raw disks; it is shut down at the end."""
    with launch.started(disks, "raw", accel="tcg", tmpdir=tmpdir) as session:
        yield session.handle
