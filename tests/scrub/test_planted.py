"""Folders and journals that came with an image, next to harmless canaries: none of them is trusted."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imagebuild.errors import HostError, ImageBuildError
from imagebuild.scrub import ImageToScrub, workshop
from imagebuild.scrub.journal import FileIdentity, Journal, ReplacedImage
from imagebuild.scrub.scrubbing import _finished, untouched

IMAGE, CANARY = b"image" * 2000, b"canary" * 2000


class Place:
    """An image, and in another folder next to it files that must not change."""

    def __init__(self, root: Path) -> None:
        self.image = root / "images" / "disk"
        self.image.parent.mkdir(parents=True)
        self.image.write_bytes(IMAGE)
        self.canary = root / "elsewhere" / "canary"
        self.canary.parent.mkdir()
        self.canary.write_bytes(CANARY)
        self.work = workshop.path_for(self.image)
        self.disk = ImageToScrub(self.image, "raw")

    def plant(self, mode: int = 0o700) -> None:
        self.work.mkdir()
        self.work.chmod(mode)

    def journal(self, content: str | bytes) -> None:
        path = self.work / "journal.json"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(0o600)

    def done(self, content: bytes = b"new" * 4000) -> Path:
        path = self.work / "0.done"
        path.write_bytes(content)
        path.chmod(0o600)
        return path

    def true_journal(self, task: str = "swap", **changed: Any) -> dict[str, Any]:
        """The journal that a run would have written about this image and the new file."""
        disk = ReplacedImage(
            image=FileIdentity.of(self.image.stat()),
            done=FileIdentity.of((self.work / "0.done").stat(follow_symlinks=False)),
        )
        content: dict[str, Any] = json.loads(
            Journal(task="swap", format="raw", disks=(disk,)).model_dump_json()  # the task may be invalid
        )
        return content | {"task": task} | changed

    def listing(self) -> dict[str, Any]:
        """Everything below the two folders: content, mode, target."""
        return {
            str(path): (
                path.lstat().st_mode,
                path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None,
            )
            for folder in (self.image.parent, self.canary.parent)
            for path in (folder, *folder.rglob("*"))
        }

    def assert_refused(self, match: str) -> None:
        """Neither a scrub nor an audit changes anything, and both report which folder is the reason
        and what to do."""
        before = self.listing()
        for begun in (_finished, untouched):
            with pytest.raises(HostError, match=match) as caught, begun([self.disk]):
                pytest.fail("it was accepted")
            assert str(self.work) in caught.value.message
            assert str(self.work) in str(caught.value.hint)
        assert self.listing() == before
        with pytest.raises(HostError), workshop.new(self.image):
            pytest.fail("it was removed")
        assert self.listing() == before


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_what_a_run_has_written_is_accepted(place: Place) -> None:
    """So that the refusals below have no other reason than the one they test."""
    place.plant()
    place.done()
    place.journal(json.dumps(place.true_journal()))
    with _finished([place.disk]):
        assert place.image.read_bytes() == b"new" * 4000


@pytest.mark.parametrize("task", ["swap", "commit"])
def test_the_earlier_journal_with_paths_in_it(place: Place, task: str) -> None:
    place.plant()
    place.done()
    place.journal(json.dumps({"task": task, "pairs": [[str(place.work / "0.done"), str(place.canary)]]}))
    place.assert_refused("not in imagebuild's format")


def test_an_overlay_on_another_file_is_not_committed(place: Place) -> None:
    place.plant()
    overlay = place.work / "0.done"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", place.canary, overlay], check=True)
    overlay.chmod(0o600)
    place.journal(json.dumps(place.true_journal("overwrite", format="qcow2")))
    place.disk = ImageToScrub(place.image, "qcow2")
    place.assert_refused("backing file")


def test_a_hard_link_of_another_file_is_not_moved(place: Place) -> None:
    place.plant()
    place.canary.chmod(0o600)
    (place.work / "0.done").hardlink_to(place.canary)
    place.journal(json.dumps(place.true_journal()))
    place.assert_refused("several hard links")


def test_a_link_to_another_file_is_not_moved(place: Place) -> None:
    place.plant()
    (place.work / "0.done").symlink_to(place.canary)
    place.journal(json.dumps(place.true_journal()))
    place.assert_refused("is not a regular file")


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701, 0o777])
@pytest.mark.parametrize("with_journal", [True, False])
def test_a_folder_that_is_open_to_others(place: Place, mode: int, with_journal: bool) -> None:
    place.plant(mode)
    place.done()
    if with_journal:
        place.journal(json.dumps(place.true_journal()))
    place.assert_refused(f"open to other users \\(mode 0{mode:o}\\)")


@pytest.mark.parametrize("with_journal", [True, False])
def test_a_folder_of_somebody_else(place: Place, with_journal: bool) -> None:
    place.plant()
    place.done()
    if with_journal:
        place.journal(json.dumps(place.true_journal()))
    os.chown(place.work, 1234, 1234)
    place.assert_refused("belongs to user 1234")


def test_a_link_to_a_folder(place: Place) -> None:
    elsewhere = place.canary.parent / "private"
    elsewhere.mkdir(mode=0o700)
    place.work.symlink_to(elsewhere)
    place.assert_refused("it is not a folder")


def test_a_file_and_a_pipe_of_its_name(place: Place) -> None:
    place.work.write_bytes(b"")
    place.assert_refused("it is not a folder")
    place.work.unlink()
    os.mkfifo(place.work)
    place.assert_refused("it is not a folder")


def test_a_journal_that_is_not_a_file(place: Place) -> None:
    place.plant()
    journal = place.work / "journal.json"
    os.mkfifo(journal, 0o600)
    place.assert_refused("is not a regular file")  # and does not wait for a writer
    journal.unlink()
    journal.mkdir()
    place.assert_refused("is not a regular file")
    journal.rmdir()
    journal.symlink_to(place.canary)
    place.assert_refused("is not a regular file")
    journal.unlink()
    journal.symlink_to("nowhere")
    place.assert_refused("is not a regular file")


def test_a_journal_of_somebody_else_or_of_several_names(place: Place) -> None:
    place.plant()
    place.done()
    place.journal(json.dumps(place.true_journal()))
    journal = place.work / "journal.json"
    os.chown(journal, 1234, 1234)
    place.assert_refused("belongs to user 1234")
    os.chown(journal, os.geteuid(), os.getegid())
    journal.chmod(0o644)
    place.assert_refused("open to other users")
    journal.chmod(0o600)
    (place.canary.parent / "name").hardlink_to(journal)
    place.assert_refused("several hard links")


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"null", b"[]", b"3", b'"x"', b"\xff\xfe", b"{}", b'{"task": "swap"}', b"[" * 50000,
        b'{"version":1,"task":"swap","format":"raw","disks":3}',
        b'{"version":1,"task":"swap","format":"raw","disks":[]}',
        b'{"version":1,"task":"swap","format":"raw","disks":[{"image":1,"done":2}]}',
        b'{"version":2,"task":"swap","format":"raw","disks":[]}',
    ],
)  # fmt: skip
def test_a_malformed_journal(place: Place, content: bytes) -> None:
    place.plant()
    place.done()
    place.journal(content)
    place.assert_refused("not in imagebuild's format")


def test_a_journal_without_end(place: Place) -> None:
    place.plant()
    place.done()
    place.journal(json.dumps(place.true_journal()) + " " * (65 << 10))
    place.assert_refused("too large")


@pytest.mark.parametrize(
    "changed",
    [
        {"version": 2},
        {"version": "1"},
        {"task": "commit"},
        {"format": "vmdk"},
        {"paths": ["/etc"]},
        {"disks": {}},
        {"format": None},
    ],
)
def test_a_journal_with_one_thing_wrong(place: Place, changed: dict[str, Any]) -> None:
    place.plant()
    place.done()
    place.journal(json.dumps(place.true_journal(**changed)))
    place.assert_refused("not in imagebuild's format")


def test_a_journal_about_other_images(place: Place) -> None:
    place.plant()
    place.done()
    journal = place.true_journal()
    journal["disks"][0]["image"]["inode"] = place.canary.stat().st_ino
    place.journal(json.dumps(journal))
    place.assert_refused("matches none of the images")


@pytest.mark.parametrize("which", ["inode", "size", "mtime_ns"])
def test_a_journal_about_another_new_file(place: Place, which: str) -> None:
    place.plant()
    place.done()
    journal = place.true_journal()
    journal["disks"][0]["done"][which] += 1
    place.journal(json.dumps(journal))
    place.assert_refused(r"0\.done is not the file")


def test_a_leftover_is_removed_without_following_its_links(place: Place) -> None:
    place.plant()
    (place.work / "link").symlink_to(place.canary.parent)
    (place.work / "customise-x").mkdir()
    (place.work / "customise-x" / "link").symlink_to(place.canary.parent)
    with workshop.new(place.image) as work:
        assert list(work.path.iterdir()) == []
    assert place.canary.read_bytes() == CANARY


# Unexpected structures.

PATHS = st.sampled_from(["CANARY", "IMAGE", "WORK/0.done", "/proc/self/mem", "../elsewhere/canary", "0.done", ""])
NUMBERS = st.integers() | st.just(-1) | st.just(2**64)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.floats() | st.text(max_size=5) | PATHS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["task", "pairs", "disks", "image", "done", "inode", "path"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)
FIELDS = st.dictionaries(st.sampled_from(["version", "task", "format", "disks", "pairs"]), JSON, max_size=3)
TASKS = st.sampled_from(["swap", "overwrite", "commit"])
KINDS = st.sampled_from(["file", "link", "folder", "pipe", "hard link", "nothing"])
MODES = st.sampled_from([0o700, 0o700, 0o600, 0o755, 0o777, 0o500])


def put(path: Path, kind: str, content: bytes, canary: Path, mode: int) -> None:
    match kind:
        case "file":
            path.write_bytes(content)
            path.chmod(mode & 0o666)
        case "link":
            path.symlink_to(canary)
        case "folder":
            path.mkdir()
            (path / "in it").write_bytes(content)
        case "pipe":
            os.mkfifo(path)
        case "hard link":
            path.hardlink_to(canary)


@pytest.mark.seconds
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    folder=KINDS, mode=MODES, journal=KINDS, done=KINDS, file_mode=MODES, task=TASKS, changed=FIELDS,
    raw=st.none() | st.binary(max_size=200), fits=st.booleans(),
)  # fmt: skip
def test_whatever_is_planted_touches_no_canary_and_is_no_traceback(
    tmp_path: Path,
    folder: str,
    mode: int,
    journal: str,
    done: str,
    file_mode: int,
    task: str,
    changed: dict[str, Any],
    raw: bytes | None,
    fits: bool,
) -> None:
    shutil.rmtree(tmp_path / "case", ignore_errors=True)
    place = Place(tmp_path / "case")
    canaries = [place.canary.parent / name for name in ("one", "two")]
    for canary in canaries:
        canary.write_bytes(CANARY)
        canary.chmod(0o600)
    if folder == "folder":
        place.work.mkdir()
        put(place.work / "0.done", done, b"new" * 3000, canaries[0], file_mode)
        content = raw if raw is not None else b"{}"
        if fits and done not in ("nothing", "link"):
            written = json.dumps(place.true_journal(task) | changed)
            content = written.replace("CANARY", str(canaries[0])).replace("IMAGE", str(place.image)).encode()
        put(place.work / "journal.json", journal, content, canaries[1], file_mode)
        place.work.chmod(mode)
    else:
        put(place.work, folder, b"x", place.canary, mode)
    outside = place.canary.parent
    before = {path: (path.read_bytes(), path.stat().st_mode) for path in outside.rglob("*")}
    told: list[ImageBuildError] = []
    for begun in (untouched, _finished):
        try:
            with begun([place.disk]):
                pass
        except ImageBuildError as error:
            told.append(error)
        if begun is untouched:
            assert place.image.read_bytes() == IMAGE
    try:
        with workshop.new(place.image):
            pass
    except ImageBuildError:
        pass
    assert all(error.hint for error in told)
    assert {path: (path.read_bytes(), path.stat().st_mode) for path in outside.rglob("*")} == before
    assert stat.S_ISREG(place.image.lstat().st_mode)
