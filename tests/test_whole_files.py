"""Files that are either complete or absent."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from imagebuild.cli.project import schema
from imagebuild.files import write_atomically


@pytest.mark.parametrize("by", ["name", "link"])
def test_what_is_no_file_is_not_replaced(tmp_path: Path, by: str) -> None:
    """As root, `--file /dev/null` would leave a file in the place of the device."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "link").symlink_to(pipe)
    with pytest.raises(FileExistsError, match="a device, pipe or socket is not replaced by a file"):
        write_atomically(pipe if by == "name" else tmp_path / "link", "text")
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert (tmp_path / "link").is_symlink()
    assert {one.name for one in tmp_path.iterdir()} == {"link", "pipe"}


def test_a_command_that_is_given_a_device_says_so(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(FileExistsError):
        schema.main(["--file", str(pipe)], standalone_mode=False)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_link_to_nothing_and_a_file_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nothing")
    write_atomically(tmp_path / "link", "1")
    write_atomically(tmp_path / "link", "2")
    assert (tmp_path / "link").read_text() == "2"
    assert not (tmp_path / "link").is_symlink()
