"""An export is in its place completely, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from imagebuild.errors import HostError, UsageError
from imagebuild.exports import placing
from imagebuild.host import locks


def place(folder: Path, content: str = "new", *, force: bool = False, marker: str = "") -> None:
    with placing.placed(folder, "web.ova", force=force, marker=marker) as path:
        if marker:
            path.mkdir()
            (path / marker).write_text(content)
        else:
            path.write_text(content)


def test_the_folder_is_made_and_contains_nothing_else(tmp_path: Path) -> None:
    place(tmp_path / "a" / "b")
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["web.ova"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, UsageError("no")])
def test_an_exception_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    with (
        pytest.raises(BaseException),  # noqa: B017, PT011 - whichever it is
        placing.placed(tmp_path / "a" / "b", "web.ova", force=False) as path,
    ):
        path.write_text("half")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_replaced_with_force_only(tmp_path: Path) -> None:
    place(tmp_path, "old")
    with pytest.raises(UsageError, match="already exists"):
        place(tmp_path)
    assert (tmp_path / "web.ova").read_text() == "old"
    place(tmp_path, force=True)
    assert (tmp_path / "web.ova").read_text() == "new"


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="already exists"), placing.placed(tmp_path, "web.ova", force=False) as path:
        path.write_text("new")
        (tmp_path / "web.ova").write_text("other")
    assert (tmp_path / "web.ova").read_text() == "other"


def test_a_folder_is_replaced_only_if_it_is_one_of_ours(tmp_path: Path) -> None:
    place(tmp_path, "old", marker="oci-layout")
    place(tmp_path, "new", force=True, marker="oci-layout")
    assert (tmp_path / "web.ova" / "oci-layout").read_text() == "new"
    (tmp_path / "web.ova" / "oci-layout").rename(tmp_path / "web.ova" / "precious")
    with pytest.raises(UsageError, match="was not made by this command"):
        place(tmp_path, force=True, marker="oci-layout")
    assert [path.name for path in (tmp_path / "web.ova").iterdir()] == ["precious"]


def test_a_folder_is_not_replaced_by_a_file_nor_a_link_by_a_folder(tmp_path: Path) -> None:
    (tmp_path / "web.ova").mkdir()
    with pytest.raises(UsageError, match="was not made by this command"):
        place(tmp_path, force=True)
    (tmp_path / "web.ova").rmdir()
    (tmp_path / "web.ova").symlink_to(tmp_path)
    with pytest.raises(UsageError, match="was not made by this command"):
        place(tmp_path, force=True, marker="oci-layout")


def test_the_old_folder_comes_back_if_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(tmp_path, "old", marker="oci-layout")
    real = Path.rename

    def rename(path: Path, target: Path) -> Path:
        if path.name == "web.ova" and path.parent != tmp_path:
            raise KeyboardInterrupt
        return real(path, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(KeyboardInterrupt):
        place(tmp_path, "new", force=True, marker="oci-layout")
    assert (tmp_path / "web.ova" / "oci-layout").read_text() == "old"


def test_what_a_killed_export_left_is_removed_and_a_running_one_is_not(tmp_path: Path) -> None:
    dead, alive = tmp_path / ".web.ova.0123abcd.partial", tmp_path / ".web.ova.89abcdef.partial"
    other = tmp_path / ".other.ova.0123abcd.partial"
    for path in (dead, alive, other):
        path.mkdir()
        (path / "web.ova").write_text("half")
    descriptor = os.open(alive, os.O_RDONLY)
    assert locks.free(descriptor)
    try:
        place(tmp_path)
    finally:
        os.close(descriptor)
    assert (dead.exists(), alive.exists(), other.exists()) == (False, True, True)


def test_too_little_space_is_reported_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"needs up to 4194304 MiB in .*, 1024 MiB of them only until it is finished"):
        placing.check_room(tmp_path / "new", 1 << 42, 1 << 30)
    placing.check_room(tmp_path / "new" / "newer", 1, 0)
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError, match="cannot make"):
        place(tmp_path / "file" / "folder")
