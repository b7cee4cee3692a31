"""The appliance with a shorter init script: made of libguestfs's own, and only where nobody else can have made it."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from imagebuild.guest import lean_start

STOCK = "#!/bin/bash\nudevadm trigger\nudevadm settle --timeout=600\nldmtool create all\nguestfsd\n"


class Handle:
    """As much of a libguestfs handle as is asked: its search path and its folder for caches."""

    def __init__(self, path: Path, cachedir: Path) -> None:
        self.path, self.cachedir = str(path), str(cachedir)

    def get_path(self) -> str:
        return self.path

    def get_cachedir(self) -> str:
        return self.cachedir

    def set_path(self, path: str) -> None:
        self.path = path

    def set_cachedir(self, path: str) -> None:
        self.cachedir = path


def archive(script: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as made:
        member = tarfile.TarInfo("init")
        member.mode, member.size = 0o755, len(script)
        made.addfile(member, io.BytesIO(script.encode()))
    return buffer.getvalue()


@pytest.fixture
def handle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Handle:
    monkeypatch.delenv("LIBGUESTFS_PATH", raising=False)
    parts = tmp_path / "stock" / "supermin.d"
    parts.mkdir(parents=True)
    (parts / "base.tar.gz").write_bytes(b"base")
    (parts / "init.tar.gz").write_bytes(archive(STOCK))
    (tmp_path / "cache").mkdir()
    return Handle(tmp_path / "stock", tmp_path / "cache")


def script_in(path: Path) -> str:
    with tarfile.open(path) as opened:
        assert opened.getmember("init").mode == 0o755
        file = opened.extractfile("init")
        assert file is not None
        return file.read().decode()


def test_all_parts_but_the_init_script_are_libguestfs_own(handle: Handle, tmp_path: Path) -> None:
    lean_start.use(handle)
    parts = Path(handle.path) / "supermin.d"
    assert handle.path == handle.cachedir != str(tmp_path / "cache")
    assert (parts / "base.tar.gz").resolve() == tmp_path / "stock" / "supermin.d" / "base.tar.gz"
    script = script_in(parts / "init.tar.gz")
    assert "ldmtool" not in script
    assert "udevadm trigger --subsystem-match=block" in script
    assert script.endswith("guestfsd\n")


def test_what_is_right_already_keeps_its_time(handle: Handle, tmp_path: Path) -> None:
    lean_start.use(handle)
    made = Path(handle.path) / "supermin.d" / "init.tar.gz"
    before = made.stat()
    again = Handle(tmp_path / "stock", tmp_path / "cache")
    lean_start.use(again)
    assert made.stat().st_mtime_ns == before.st_mtime_ns
    (tmp_path / "stock" / "supermin.d" / "init.tar.gz").write_bytes(
        archive(STOCK.replace("guestfsd", "guestfsd --new"))
    )
    lean_start.use(Handle(tmp_path / "stock", tmp_path / "cache"))
    assert script_in(made).endswith("guestfsd --new\n")


@pytest.mark.parametrize("script", ["#!/bin/bash\nguestfsd\n", ""])
def test_a_script_that_is_not_as_expected_is_left_alone(script: str, handle: Handle, tmp_path: Path) -> None:
    (tmp_path / "stock" / "supermin.d" / "init.tar.gz").write_bytes(archive(script))
    lean_start.use(handle)
    assert (handle.path, handle.cachedir) == (str(tmp_path / "stock"), str(tmp_path / "cache"))


def test_an_appliance_of_the_users_choice_is_left_alone(
    handle: Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIBGUESTFS_PATH", str(tmp_path / "stock"))
    lean_start.use(handle)
    assert handle.path == str(tmp_path / "stock")
    monkeypatch.delenv("LIBGUESTFS_PATH")
    fixed = tmp_path / "fixed"
    fixed.mkdir()
    (fixed / "README.fixed").touch()
    handle.path = f"{fixed}:{tmp_path / 'stock'}"
    lean_start.use(handle)
    assert handle.path.startswith(str(fixed))


@pytest.mark.parametrize("planted", ["open", "link", "file"])
def test_a_folder_that_somebody_else_may_have_made_is_not_used(planted: str, handle: Handle, tmp_path: Path) -> None:
    lean_start.use(Handle(tmp_path / "stock", tmp_path / "cache"))
    made = next((tmp_path / "cache").iterdir())
    if planted == "open":
        made.chmod(0o777)
    else:
        made.rename(tmp_path / "elsewhere")
        made.symlink_to(tmp_path / "elsewhere") if planted == "link" else made.touch()
    lean_start.use(handle)
    assert handle.path == str(tmp_path / "stock")
