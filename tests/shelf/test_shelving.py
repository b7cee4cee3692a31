"""Shelves on disk: what a build writes, keeps, refuses and removes."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from imagebuild.errors import HostError, ImageBuildError, UsageError
from imagebuild.host import locks
from imagebuild.progress import SILENT_REPORTER
from imagebuild.shelf import documents, on_disk, shelving
from imagebuild.shelf.shelving import BuiltShelf, ShelfOptions
from imagebuild.store.artifact import Artifact
from tests.contents.inventories import inventory
from tests.shelf.artifacts import OS, artifact, problems, sections


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    return tmp_path / "shelf"


def build(shelf: Path, *artifacts: Artifact, options: ShelfOptions | None = None) -> BuiltShelf:
    return shelving.build(shelf, artifacts, options or ShelfOptions(), SILENT_REPORTER)


def state(shelf: Path) -> dict[str, bytes]:
    """All files with their contents."""
    return {str(path.relative_to(shelf)): path.read_bytes() for path in sorted(shelf.rglob("*")) if path.is_file()}


def test_a_new_shelf(shelf: Path, tmp_path: Path) -> None:
    web = artifact(tmp_path, inventory=inventory())
    done = build(shelf, web, artifact(tmp_path, "db", disks=2))
    assert problems(shelf) == []
    assert len(done.added) == 3 + 4
    found = sections((shelf / "index").read_text())
    assert found.keys() == {"web", "web--2026-11-29.1"}, "virt-builder has no guests with several disks"
    assert (found["web"]["osinfo"], found["web"]["size"]) == ("debian13", str(1 << 20))
    (manifest,) = shelf.glob("images/web--*.manifest.json")
    (domain,) = shelf.glob("images/web--*.xml")
    assert manifest.read_bytes() == (web.folder / "manifest.json").read_bytes()
    assert domain.read_bytes() == web.domain.read_bytes()
    for path in shelf.rglob("*"):
        if path.name != "record.json":
            assert stat.S_IMODE(path.stat().st_mode) == (0o755 if path.is_dir() else 0o644), path
    assert [path.name for path in (shelf / ".shelf").iterdir()] == ["record.json"]


def test_a_published_image_shares_no_inode_with_the_artifact(shelf: Path, tmp_path: Path) -> None:
    web = artifact(tmp_path)
    build(shelf, web)
    web.image.write_bytes(b"changed by a machine that was started from it")
    assert problems(shelf) == []


def test_a_second_build_changes_nothing(shelf: Path, tmp_path: Path) -> None:
    web = artifact(tmp_path)
    build(shelf, web)
    before = state(shelf)
    done = build(shelf, web)
    assert (done.added, done.removed) == ((), ())
    assert state(shelf) == before


@pytest.mark.seconds
def test_files_leave_one_build_after_the_index_forgot_them(shelf: Path, tmp_path: Path) -> None:
    images = [artifact(tmp_path, version=f"2026-11-29.{number}") for number in range(1, 5)]
    options = ShelfOptions(keep=1)
    build(shelf, images[0], options=options)
    first = sections((shelf / "index").read_text())["web"]["file"]
    assert build(shelf, images[1], options=options).removed == ()
    assert (shelf / first).exists(), "somebody may be downloading it"
    removed = build(shelf, images[2], options=options).removed
    assert Path(first).name in removed
    assert not (shelf / first).exists()
    assert problems(shelf) == []
    (shelf / "images" / "of-somebody-else.txt").touch()
    build(shelf, images[3], options=options)
    assert (shelf / "images" / "of-somebody-else.txt").exists()


def test_templates_that_are_not_named_stay(shelf: Path, tmp_path: Path) -> None:
    build(shelf, artifact(tmp_path))
    build(shelf, artifact(tmp_path, "db"))
    assert {"web", "db"} < sections((shelf / "index").read_text()).keys()
    build(shelf, options=ShelfOptions(drop=["web"]))
    assert "web" not in sections((shelf / "index").read_text())
    assert problems(shelf) == []
    build(shelf, options=ShelfOptions(drop=["db"]))
    assert (shelf / "index").read_text() == ""
    assert [path.name for path in (shelf / "images").iterdir() if path.name.startswith("web")] == []


def test_a_verdict_that_came_later(shelf: Path, tmp_path: Path) -> None:
    web = artifact(tmp_path, verdict="")
    build(shelf, web, options=ShelfOptions(unverified=True))
    content = json.loads((web.folder / "manifest.json").read_text())
    (web.folder / "manifest.json").write_text(json.dumps({**content, "verification": {"verdict": "passed"}}))
    done = build(shelf, web)
    assert (done.record.templates[0].revision, done.record.templates[0].current.verdict) == (1, "passed")
    assert [name for name in done.added if not name.endswith(".manifest.json")] == []
    assert len(list(shelf.glob("images/*.manifest.json"))) == 2, "the one of the index before is kept once more"


def test_images_without_a_verdict_are_named_together(shelf: Path, tmp_path: Path) -> None:
    bad = [artifact(tmp_path, "web", verdict=""), artifact(tmp_path, "db", verdict="failed"), artifact(tmp_path, "ok")]
    with pytest.raises(UsageError, match=r"web 2026-11-29.1 \(not verified\), db 2026-11-29.1 \(failed\)$"):
        build(shelf, *bad)
    assert not shelf.exists()


@pytest.mark.parametrize("damage", ["cut", "changed", "gone", "link"])
def test_a_damaged_image_on_the_shelf_is_replaced(shelf: Path, tmp_path: Path, damage: str) -> None:
    web = artifact(tmp_path)
    build(shelf, web)
    image = shelf / sections((shelf / "index").read_text())["web"]["file"]
    content = image.read_bytes()
    image.unlink()
    if damage == "cut":
        image.write_bytes(content[:-1])
    elif damage == "changed":
        image.write_bytes(content[:-1] + b"x")
    elif damage == "link":
        image.symlink_to(web.image)
    build(shelf, web)
    assert problems(shelf) == []
    assert not image.is_symlink()


def test_a_version_whose_files_vanished_is_no_longer_listed(shelf: Path, tmp_path: Path) -> None:
    build(shelf, artifact(tmp_path), artifact(tmp_path, version="2026-11-29.2"))
    for path in shelf.glob("images/*11-29.1--*.qcow2"):
        path.unlink()
    done = build(shelf, artifact(tmp_path, "db"))
    assert done.lost == ("web 2026-11-29.1",)
    assert problems(shelf) == []


def damaged(web: Artifact) -> None:
    with web.image.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\0")


def with_a_backing_file(web: Artifact) -> None:
    content = bytearray(web.image.read_bytes())
    content[8:20] = (4096).to_bytes(8) + (11).to_bytes(4)
    content[4096:4107] = b"/etc/shadow"
    web.image.write_bytes(content)
    data = json.loads((web.folder / "manifest.json").read_text())
    data["image"]["sha256"] = hashlib.sha256(content).hexdigest()
    (web.folder / "manifest.json").write_text(json.dumps(data))


def linked_manifest(web: Artifact) -> None:
    path = web.folder / "manifest.json"
    path.rename(web.folder / "elsewhere")
    path.symlink_to("elsewhere")


def linked_domain(web: Artifact) -> None:
    web.domain.unlink()
    web.domain.symlink_to("/etc/hostname")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (damaged, "was changed after it was built"),
        (with_a_backing_file, "/etc/shadow"),
        (linked_manifest, "is a link"),
        (linked_domain, "is a link"),
    ],
)
def test_artifacts_that_are_refused(shelf: Path, tmp_path: Path, change: Callable[[Artifact], None], says: str) -> None:
    good, bad = artifact(tmp_path, "db"), artifact(tmp_path)
    build(shelf, good)
    before = state(shelf)
    change(bad)
    with pytest.raises(ImageBuildError, match=says):
        build(shelf, good, bad)
    assert state(shelf) == before


@pytest.mark.parametrize("system", [None, [], {}, {"arch": "x86\nfile=x"}, {"arch": 64}])
def test_a_manifest_that_names_no_system(shelf: Path, tmp_path: Path, system: object) -> None:
    with pytest.raises(UsageError, match="cannot be used"):
        build(shelf, artifact(tmp_path, system=system))
    assert not shelf.exists()


def test_odd_values_of_a_manifest_are_left_out(shelf: Path, tmp_path: Path) -> None:
    build(shelf, artifact(tmp_path, system={**OS, "osinfo": "x\ny", "version": 13, "codename": ["a"]}))
    assert "osinfo" not in sections((shelf / "index").read_text())["web"]


@pytest.mark.parametrize("name", ["index", "index.asc", "streams", "images"])
def test_a_folder_of_somebody_else(shelf: Path, tmp_path: Path, name: str) -> None:
    shelf.mkdir()
    (shelf / name).mkdir()
    with pytest.raises(UsageError, match="was not written by"):
        build(shelf, artifact(tmp_path))
    assert [path.name for path in shelf.iterdir()] == [name]


def test_a_folder_with_other_files_needs_a_word(shelf: Path, tmp_path: Path) -> None:
    shelf.mkdir()
    (shelf / "lost+found").mkdir()
    (shelf / ".shelf/incoming").mkdir(parents=True)  # of a build that was killed
    (shelf / "letter.txt").write_text("mine")
    before = sorted(shelf.rglob("*"))
    web = artifact(tmp_path)
    with pytest.raises(UsageError, match=r"neither empty nor a shelf: it contains letter\.txt"):
        build(shelf, web)
    assert sorted(shelf.rglob("*")) == before
    build(shelf, web, options=ShelfOptions(into_existing=True))
    build(shelf, artifact(tmp_path, "db"))
    assert problems(shelf) == []
    assert (shelf / "letter.txt").read_text() == "mine"


def test_an_empty_folder_needs_none(shelf: Path, tmp_path: Path) -> None:
    (shelf / "lost+found").mkdir(parents=True)
    (shelf / ".shelf/incoming").mkdir(parents=True)
    build(shelf, artifact(tmp_path))
    assert problems(shelf) == []


@pytest.mark.parametrize("content", [b"{}", b"", b"x" * 100, b'{"schema": 1, "grace": ["../x"]}'])
def test_a_hostile_record_on_disk(shelf: Path, tmp_path: Path, content: bytes) -> None:
    build(shelf, artifact(tmp_path))
    (shelf / ".shelf/record.json").write_bytes(content)
    before = state(shelf)
    with pytest.raises(UsageError, match=r"record.json cannot be used"):
        build(shelf, artifact(tmp_path, "db"))
    assert state(shelf) == before


def test_a_record_that_is_a_link(shelf: Path, tmp_path: Path) -> None:
    build(shelf, artifact(tmp_path))
    record = shelf / ".shelf/record.json"
    record.rename(tmp_path / "record.json")
    record.symlink_to(tmp_path / "record.json")
    with pytest.raises(UsageError, match="is a link"):
        build(shelf, artifact(tmp_path, "db"))


@pytest.mark.parametrize("name", [".shelf", "images", "streams", "streams/v1"])
def test_a_folder_that_is_a_link(shelf: Path, tmp_path: Path, name: str) -> None:
    build(shelf, artifact(tmp_path))
    (shelf / name).rename(tmp_path / "moved")
    (shelf / name).symlink_to(tmp_path / "moved")
    before = state(tmp_path / "moved")
    with pytest.raises(UsageError, match="is not a folder"):
        build(shelf, artifact(tmp_path, "db"))
    assert state(tmp_path / "moved") == before


def test_a_link_in_place_of_an_index_is_replaced_and_not_followed(shelf: Path, tmp_path: Path) -> None:
    build(shelf, artifact(tmp_path))
    (tmp_path / "precious").write_text("precious")
    (shelf / "index").unlink()
    (shelf / "index").symlink_to(tmp_path / "precious")
    build(shelf, artifact(tmp_path, "db"))
    assert (tmp_path / "precious").read_text() == "precious"
    assert problems(shelf) == []


def test_only_one_process_at_a_time(shelf: Path, tmp_path: Path) -> None:
    build(shelf, artifact(tmp_path))
    descriptor = os.open(shelf / ".shelf", os.O_RDONLY)
    locks.exclusive(descriptor)
    with pytest.raises(HostError, match="another process"):
        build(shelf, artifact(tmp_path, "db"))
    os.close(descriptor)
    build(shelf, artifact(tmp_path, "mail"))


def test_a_version_that_cannot_be_ordered(shelf: Path, tmp_path: Path) -> None:
    web = artifact(tmp_path)
    with pytest.raises(UsageError, match="not a date and a counter"):
        build(shelf, replace(web, version="final"))


def test_an_error_before_the_switch_changes_nothing(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(shelf, artifact(tmp_path))
    before = state(shelf)
    monkeypatch.setattr(documents, "checksums", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        build(shelf, artifact(tmp_path, version="2026-11-29.2"))
    assert state(shelf) == before


class Died(BaseException):
    """The end of a killed process."""


@pytest.mark.seconds
@pytest.mark.parametrize("at", range(10))
def test_every_rename_may_be_the_last(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    images = [artifact(tmp_path, version=f"2026-11-29.{number}") for number in range(1, 4)]
    options = ShelfOptions(keep=1)
    build(shelf, images[0], options=options)
    put, count = on_disk.Shelf.put, 0

    def dying(self: on_disk.Shelf, path: Path, name: str) -> None:
        nonlocal count
        if count == at:
            raise Died
        count += 1
        put(self, path, name)

    with monkeypatch.context() as patched:
        patched.setattr(on_disk.Shelf, "put", dying)
        if at < 9:  # an image, its manifest and its definition; the record, four documents, the record
            with pytest.raises(Died):
                build(shelf, images[1], options=options)
        else:
            build(shelf, images[1], options=options)
    assert problems(shelf) == []
    seen = sections((shelf / "index").read_text())["web"]
    done = build(shelf, images[2], options=options)
    assert problems(shelf) == []
    assert (shelf / seen["file"]).exists(), "somebody may be downloading it"
    assert done.record.templates[0].revision > int(seen["revision"])
    build(shelf, images[2], options=options)
    assert len(list((shelf / "images").iterdir())) == 3


def test_no_room(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(shelf, artifact(tmp_path))
    before = state(shelf)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(on_disk, "_copy", full)
    with pytest.raises(HostError, match="no space left for the shelf"):
        build(shelf, artifact(tmp_path, "db"))
    assert state(shelf) == before


def test_files_are_copied_where_the_kernel_does_not(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> int:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "copy_file_range", refused)
    build(shelf, artifact(tmp_path))
    assert problems(shelf) == []
