"""Locks that are released when their process ends."""

from __future__ import annotations

import os
from pathlib import Path

from imagebuild.host import locks


def test_only_one_process_gets_an_exclusive_lock(tmp_path: Path) -> None:
    first, second = (os.open(tmp_path, os.O_RDONLY) for _ in range(2))
    assert locks.free(first)
    assert not locks.free(second)
    os.close(first)
    assert locks.free(second)
    os.close(second)


def test_several_processes_may_share_a_lock(tmp_path: Path) -> None:
    first, second, third = (os.open(tmp_path, os.O_RDONLY) for _ in range(3))
    locks.shared(first)
    locks.shared(second)
    assert not locks.free(third)
    for descriptor in (first, second):
        os.close(descriptor)
    locks.exclusive(third)
    os.close(third)


def test_a_name_may_refer_to_another_file_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    descriptor = os.open(path, os.O_RDONLY)
    assert locks.is_still(descriptor, path)
    path.rename(tmp_path / "moved")
    assert not locks.is_still(descriptor, path)
    path.symlink_to("moved")
    assert not locks.is_still(descriptor, path), "a link is not the file"
    path.unlink()
    path.touch()
    assert not locks.is_still(descriptor, path)
    os.close(descriptor)
