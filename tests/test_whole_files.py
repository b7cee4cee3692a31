"""Files that are either complete or absent; devices and pipes stay what they are."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from imagebuild.cli.project import schema
from imagebuild.files import read_record, write_atomically, write_result
from imagebuild.progress import SILENT_REPORTER
from imagebuild.store.artifact import Manifest
from imagebuild.trace import traced


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


def read_in_background(pipe: Path) -> tuple[threading.Thread, list[bytes]]:
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    return reader, read


def test_a_pipe_gets_the_content_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader, read = read_in_background(pipe)
    write_result(pipe, "content")
    reader.join(10)
    assert read == [b"content"]
    assert pipe.is_fifo()


def test_a_trace_is_written_to_a_pipe_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader, read = read_in_background(pipe)
    with traced(pipe, SILENT_REPORTER):
        pass
    reader.join(10)
    assert read[0].count(b"traceEvents") == 1
    assert pipe.is_fifo()


def test_a_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("a longer text that was there")
    before = path.stat().st_ino
    write_result(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_ino != before
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_a_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        write_result(tmp_path, "content")


def test_a_record_that_is_a_pipe_makes_nobody_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "manifest.json")
    with pytest.raises(ValueError, match="is not a regular file"):
        read_record(tmp_path / "manifest.json", Manifest)
