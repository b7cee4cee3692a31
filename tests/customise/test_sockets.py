"""libguestfs's socket folder is determined from the kernel, and removed only if it is still the
same folder."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from imagebuild.customise import sockets


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "libguestfs1"
    path.mkdir(mode=0o755)
    return path


def test_the_folder_in_which_this_process_listens(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with (
        socket.socket(socket.AF_UNIX) as ours,
        socket.socket(socket.AF_UNIX) as another,
        socket.socket(socket.AF_INET) as network,
        socket.socket(socket.AF_UNIX) as unnamed,
    ):
        ours.bind(str(folder / "guestfsd.sock"))
        ours.listen()
        another.bind(str(other / "something.sock"))
        network.bind(("127.0.0.1", 0))
        assert list(sockets.of_this_process()) == [folder]
        assert ours.fileno() >= 0
        ours.getsockname()  # it is still open
        unnamed.getsockname()
    assert list(sockets.of_this_process()) == []


def test_a_line_in_the_table_of_sockets_is_not_evidence(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel prints names unchanged, including line breaks, and anybody can choose one."""
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as ours, socket.socket(socket.AF_UNIX) as liar:
        ours.bind(str(folder / "guestfsd.sock"))
        liar.bind(f"x\n0: 2 0 10000 1 1 {os.fstat(ours.fileno()).st_ino} \ncanary")
        assert list(sockets.of_this_process()) == [folder]


def test_it_is_removed_with_its_sockets(folder: Path) -> None:
    (folder / "guestfsd.sock").touch()
    held = sockets.held(folder)
    assert held is not None
    held.remove()
    assert not folder.exists()


def test_it_is_gone_already(folder: Path) -> None:
    held = sockets.held(folder)
    assert held is not None
    folder.rmdir()
    held.remove()


def test_another_folder_took_its_name(folder: Path) -> None:
    held = sockets.held(folder)
    assert held is not None
    folder.rename(folder.with_name("moved"))
    folder.mkdir()
    (folder / "canary").touch()
    held.remove()
    assert (folder / "canary").exists()


def test_a_folder_in_it_stays(folder: Path) -> None:
    (folder / "canary").mkdir()
    held = sockets.held(folder)
    assert held is not None
    held.remove()
    assert (folder / "canary").exists()


def test_what_is_not_held(folder: Path, tmp_path: Path) -> None:
    status = folder.stat()
    assert sockets.held(folder, (status.st_dev, status.st_ino + 1)) is None
    link = tmp_path / "link"
    link.symlink_to(folder)
    assert sockets.held(link) is None
    assert sockets.held(tmp_path / "nowhere") is None
    os.chown(folder, 1234, 1234)
    assert sockets.held(folder) is None
    os.chown(folder, os.geteuid(), -1)
    folder.chmod(0o777)
    assert sockets.held(folder) is None
