"""The archive of a base: what tar unpacks of it, and when it was written."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from imagebuild.errors import ImageBuildError
from imagebuild.files import sha256
from imagebuild.kickstrap import base_root, bootstrap
from imagebuild.kickstrap.base_root import BaseSpec
from imagebuild.progress import SILENT

EPOCH = 1_790_000_000
STATUS = "Package: a\nStatus: install ok installed\nVersion: 1\n"
FILES = {base_root.STATUS: STATUS, f"{bootstrap.LISTS}/mirror_InRelease": "Suite: trixie\n", "./usr/bin/a": "a"}


def archive(files: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as root:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(text), EPOCH - 500 if name == "./usr/bin/a" else EPOCH
            root.addfile(member, io.BytesIO(text.encode()))
    return out.getvalue()


def streamed(content: bytes) -> Any:
    def stream(spec: object, beside: Path, progress: object, read: Any) -> Any:
        return read(io.BytesIO(content))

    return stream


@pytest.mark.parametrize("name", ["base.tar.zst", "base.tar"])
def test_what_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(bootstrap, "streamed", streamed(archive(FILES)))
    if name == "base.tar":
        monkeypatch.setattr(shutil, "which", lambda _: None)
    spec = BaseSpec("trixie", epoch=EPOCH)
    base = base_root.build(spec, tmp_path / "one", SILENT)
    assert (base.path.name, base.packages) == (name, {"a": "1"})
    assert base_root.read(tmp_path / "one") == base
    assert base.path.stat().st_mode & 0o777 == 0o644
    root = tmp_path / "root"
    root.mkdir()
    subprocess.run(["tar", "--extract", "--file", base.path, "--directory", root], check=True)
    assert {f"./{path.relative_to(root)}": path.read_text() for path in root.rglob("*") if path.is_file()} == FILES
    # the time of the newest file of a package, not that of the run
    assert {path.stat().st_mtime for path in root.rglob("*") if path.is_file()} == {EPOCH - 500}
    again = base_root.build(spec, tmp_path / "two", SILENT)
    assert sha256(again.path) == sha256(base.path)


def test_no_debian_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "streamed", streamed(archive({"./usr/bin/a": "a"})))
    with pytest.raises(ImageBuildError, match="does not contain a Debian system"):
        base_root.build(BaseSpec("trixie", epoch=EPOCH), tmp_path, SILENT)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_no_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "streamed", streamed(archive(FILES)))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(base_root.zstandard, "ZstdCompressor", full)
    with pytest.raises(ImageBuildError, match=r"base\.tar\.zst"):
        base_root.build(BaseSpec("trixie", epoch=EPOCH), tmp_path, SILENT)
    assert list(tmp_path.iterdir()) == []
