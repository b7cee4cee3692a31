"""A root archive that comes through a pipe: the real bootstrap code, with a stand-in for mmdebstrap."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import BinaryIO

import pytest

from imagebuild.errors import CommandFailed, HostError, ImageBuildError
from imagebuild.kickstrap import bootstrap, scratch
from imagebuild.kickstrap.bootstrap import Bootstrap, PackagesUnknown
from imagebuild.kickstrap.mirror import Mirror
from imagebuild.progress import SILENT

SPEC = Bootstrap(suite="trixie", mirror=Mirror("http://127.0.0.1:9/debian"))


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "given.tar"
    (tmp_path / "file").write_bytes(b"x" * 3_000_000)
    with tarfile.open(path, "w") as out:
        out.add(tmp_path / "file", "file")
    return path


def mmdebstrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A program that gets the pipe in ``$pipe``."""
    programs = tmp_path / "bin"
    programs.mkdir()
    program = programs / "mmdebstrap"
    program.write_text(f'#!/bin/sh\nfor one; do [ -p "$one" ] && pipe=$one; done\n{script}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/sbin:/usr/bin:/sbin:/bin")


def sizes(stream: BinaryIO) -> list[int]:
    with tarfile.open(fileobj=stream, mode="r|") as opened:
        return [member.size for member in opened]


def test_an_archive_is_read_while_it_is_made_and_stored_nowhere(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mmdebstrap(tmp_path, monkeypatch, f'cat {archive} >"$pipe"')
    beside = tmp_path / "beside"
    beside.mkdir()
    assert bootstrap.streamed(SPEC, beside, SILENT, sizes) == [3_000_000]
    assert list(beside.iterdir()) == []


@pytest.mark.parametrize(
    "before", ["", 'head -c 1000000 {archive} >"$pipe";'], ids=["before anything was written", "in the middle"]
)
def test_the_failure_of_mmdebstrap_is_reported(
    before: str, tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failure = 'echo "E: Unable to locate package no-such-thing"; exit 1'
    mmdebstrap(tmp_path, monkeypatch, before.format(archive=archive) + failure)
    with pytest.raises(PackagesUnknown, match="no-such-thing"):
        bootstrap.streamed(SPEC, tmp_path, SILENT, sizes)


def test_the_failure_of_the_reader_is_reported_and_not_its_consequence(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(stream: BinaryIO) -> None:
        stream.read(1000)
        raise HostError("the disk is full")

    mmdebstrap(tmp_path, monkeypatch, f'cat {archive} >"$pipe" || {{ echo "E: cannot write"; exit 1; }}')
    with pytest.raises(HostError, match="the disk is full"):
        bootstrap.streamed(SPEC, tmp_path, SILENT, full)


def test_a_root_that_does_not_fit_in_memory_is_made_again_on_disk(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scratch, "has_memory", lambda: True)
    first = f'[ -e {tmp_path}/tried ] || {{ touch {tmp_path}/tried; head -c 9999 {archive} >"$pipe"; '
    mmdebstrap(tmp_path, monkeypatch, first + f'echo "No space left on device"; exit 1; }}; cat {archive} >"$pipe"')
    assert bootstrap.streamed(SPEC, tmp_path, SILENT, sizes) == [3_000_000]


def test_a_stream_that_nothing_was_written_to_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mmdebstrap(tmp_path, monkeypatch, "exit 0")
    with pytest.raises(ImageBuildError, match="mmdebstrap wrote no archive") as caught:
        bootstrap.streamed(SPEC, tmp_path, SILENT, sizes)
    assert isinstance(caught.value, CommandFailed)
