"""A file that a user names is replaced as a whole, except what is no file: that is written to."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from imagebuild.files import write_result
from imagebuild.progress import SILENT_REPORTER
from imagebuild.trace import traced


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
