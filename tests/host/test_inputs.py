"""What a process has worked with, by the interpreter's own account."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imagebuild.host import inputs as module
from imagebuild.host.inputs import Inputs, OpenedFiles, inputs


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenedFiles]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "_is_new", lambda _path: False)  # the code of a test may be as new as can be
    (tmp_path / "file").write_text("text")
    (tmp_path / "folder").mkdir()
    opened = OpenedFiles()
    yield opened
    opened.stop()


def found(opened: OpenedFiles) -> Inputs:
    made = inputs(opened, (), (), ())
    assert made is not None
    return made


READERS: dict[str, Callable[[], object]] = {
    "open": lambda: Path("file").read_text(),
    "os.open": lambda: os.close(os.open("file", os.O_RDONLY)),
    "bytes": lambda: os.close(os.open(b"file", os.O_RDONLY)),
    "for both": lambda: Path("file").open("r+").close(),
}
LISTERS: dict[str, Callable[[], object]] = {
    "listdir": lambda: os.listdir("folder"),  # noqa: PTH208 - one of the ways
    "scandir": lambda: os.scandir("folder").close(),
    "iterdir": lambda: list(Path("folder").iterdir()),
    "glob": lambda: list(Path("folder").glob("*")),
    "rglob": lambda: list(Path("folder").rglob("*")),
}


@pytest.mark.parametrize("how", READERS)
def test_a_file_that_is_read_counts(opened: OpenedFiles, tmp_path: Path, how: str) -> None:
    READERS[how]()
    made = found(opened)
    assert str(tmp_path / "file") in made.files
    assert made.is_current()
    (tmp_path / "file").write_text("other")
    assert not made.is_current()


@pytest.mark.parametrize("how", LISTERS)
def test_a_folder_that_is_listed_counts(opened: OpenedFiles, tmp_path: Path, how: str) -> None:
    LISTERS[how]()
    made = found(opened)
    assert str(tmp_path / "folder") in made.folders
    assert made.is_current()
    (tmp_path / "folder" / "new").touch()
    assert not made.is_current()


def test_a_file_that_is_not_there_counts(opened: OpenedFiles, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Path("absent").read_text()
    made = found(opened)
    assert made.is_current()
    (tmp_path / "absent").touch()
    assert not made.is_current()


def test_what_is_only_written_does_not_count(opened: OpenedFiles, tmp_path: Path) -> None:
    Path("written").write_text("text")
    assert str(tmp_path / "written") not in found(opened).files


def test_nothing_is_seen_after_the_end(opened: OpenedFiles, tmp_path: Path) -> None:
    opened.stop()
    Path("file").read_text()
    assert str(tmp_path / "file") not in found(opened).files


def test_loaded_code_and_libraries_count(opened: OpenedFiles) -> None:
    made = found(opened)
    assert str(module.__file__) in made.files
    assert str(pytest.__file__) in made.libraries
    assert any("/libc.so" in path for path in made.libraries)


def test_others_do_not_count_unless_the_path_leads_elsewhere(opened: OpenedFiles, tmp_path: Path) -> None:
    for path in ("file", "folder/../file"):
        Path(path).read_text()
    assert inputs(opened, (), {str(tmp_path / "file")}, [str(tmp_path / "folder")]) is not None
    made = inputs(opened, (), {str(tmp_path / "file")}, [str(tmp_path / "folder")])
    assert made is not None
    assert [path for path in made.files if path.startswith(str(tmp_path))] == [f"{tmp_path}/folder/../file"]


def test_what_changes_meanwhile_cannot_be_kept(opened: OpenedFiles) -> None:
    Path("file").read_text()
    Path("file").write_text("other")
    assert inputs(opened, (), (), ()) is None


def test_too_much_is_not_kept(opened: OpenedFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("file").read_text()
    with monkeypatch.context() as patch:
        patch.setattr(module, "_MOST_FILES", 5)
        assert inputs(opened, (), (), ()) is None
    with monkeypatch.context() as patch:
        patch.setattr(module, "_MOST_BYTES", 5)
        assert inputs(opened, (), (), ()) is None


def test_new_code_is_not_taken_to_be_what_is_loaded(opened: OpenedFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_is_new", lambda path: path == str(pytest.__file__))
    assert inputs(opened, (), (), ()) is None


def test_a_program_makes_it_uncertain(opened: OpenedFiles) -> None:
    subprocess.run(["true"], check=True)
    assert not opened.is_whole
    assert inputs(opened, (), (), ()) is None


def test_an_interpreter_that_refuses_to_report_is_noticed() -> None:
    code = """
import sys

def refuse(event, args):
    if event == "sys.addaudithook":
        raise RuntimeError("no hooks")

sys.addaudithook(refuse)
from imagebuild.host.inputs import OpenedFiles
print(OpenedFiles().is_whole)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
