"""The store and the artifacts: whole or not there."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import threading
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from imagebuild.artifact import Output
from imagebuild.files import sha256
from imagebuild.store import Store

DAY = date(2026, 1, 31)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_an_entry_is_there_once_its_block_has_ended(store: Store) -> None:
    with store.make("payload", "abc", within=store.root, label="r", inputs={"x": "1"}) as folder:
        (folder / "root.tar").write_text("data")
        assert store.find("payload", "abc") is None
    found = store.find("payload", "abc")
    assert found is not None
    assert (found / "root.tar").read_text() == "data"
    assert store.last_inputs("payload", "r") == {"x": "1"}
    assert store.last_inputs("payload", "other") is None


def test_a_failed_entry_leaves_nothing(store: Store) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        store.make("payload", "abc", within=store.root, label="r", inputs={}) as folder,
    ):
        (folder / "half").write_text("x")
        raise KeyboardInterrupt
    assert store.find("payload", "abc") is None
    assert list((store.root / "payload").iterdir()) == []


@pytest.mark.parametrize(("replace", "kept"), [(False, "first"), (True, "second")])
def test_two_makers_of_one_entry(store: Store, replace: bool, kept: str) -> None:
    for text in ("first", "second"):
        with store.make("payload", "abc", within=store.root, label="r", inputs={}, replace=replace) as folder:
            (folder / "by").write_text(text)
    found = store.find("payload", "abc")
    assert found is not None
    assert (found / "by").read_text() == kept
    assert [path.name for path in (store.root / "payload").iterdir()] == ["abc"]


def test_the_second_waits_and_is_told_for_whom(store: Store) -> None:
    waited_for: list[str] = []
    order: list[str] = []
    inside, release = threading.Event(), threading.Event()

    def first() -> None:
        with store.locked("r", waited_for.append):
            inside.set()
            release.wait(10)
            order.append("first")

    holder = threading.Thread(target=first)
    holder.start()
    inside.wait(10)

    def on_wait(pid: str) -> None:
        waited_for.append(pid)
        release.set()

    with store.locked("r", on_wait):
        order.append("second")
    holder.join()
    assert order == ["first", "second"]
    assert waited_for == [str(os.getpid())]
    assert list((store.root / "locks").iterdir()) == []


def test_a_dead_run_is_told_from_a_living_one(store: Store) -> None:
    with store.workdir("alive", shared=False) as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (store.root / "work" / "dead").mkdir()
        assert store.dead_runs() == ["dead"]
        store.bury("dead")
        assert store.dead_runs() == []
    assert list((store.root / "work").iterdir()) == []


def test_the_key_stays(store: Store) -> None:
    assert store.key() == store.key()
    assert stat.S_IMODE((store.root / "key").stat().st_mode) == 0o600


def build(output: Output, content: str) -> None:
    with output.new(DAY) as artifact:
        path = artifact.folder / "debian.qcow2"
        path.write_text(content)
        image = {"file": path.name, "size": len(content), "sha256": sha256(path)}
        (artifact.folder / "manifest.json").write_text(json.dumps({"image": image}))


def test_versions_count_up_and_latest_follows(tmp_path: Path) -> None:
    output = Output(tmp_path, "debian")
    assert output.latest() is None
    for content in ("one", "two!"):
        build(output, content)
    latest = output.latest()
    assert latest is not None
    assert (latest.version, latest.image.read_text()) == ("2026-01-31.2", "two!")
    assert (tmp_path / "debian/2026-01-31.1/debian.qcow2").read_text() == "one"


@pytest.mark.parametrize("name", ["debian-2.qcow2", "debian.vmdk"])
def test_an_artifact_without_one_of_its_images_is_none(tmp_path: Path, name: str) -> None:
    output = Output(tmp_path, "debian")
    with output.new(DAY) as artifact:
        images: list[dict[str, Any]] = [
            {"file": name, "size": 3, "sha256": "0"} for name in ("debian.qcow2", "debian-2.qcow2", "debian.vmdk")
        ]
        for image in images:
            (artifact.folder / image["file"]).write_text("one")
        manifest = {"image": images[0], "extra_images": images[1:2], "other_formats": images[2:]}
        (artifact.folder / "manifest.json").write_text(json.dumps(manifest))
    latest = output.latest()
    assert latest is not None
    (latest.folder / name).write_text("cut")
    assert output.latest() is not None
    (latest.folder / name).unlink()
    assert output.latest() is None


def test_sha256sum_agrees(tmp_path: Path) -> None:
    output = Output(tmp_path, "debian")
    build(output, "content")
    latest = output.latest()
    assert latest is not None
    subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=latest.folder, check=True, capture_output=True
    )
    assert sha256(latest.image) in (latest.folder / "SHA256SUMS").read_text()


def test_a_failed_artifact_leaves_nothing(tmp_path: Path) -> None:
    output = Output(tmp_path, "debian")
    with pytest.raises(KeyboardInterrupt), output.new(DAY) as artifact:
        (artifact.folder / "debian.qcow2").write_text("half")
        raise KeyboardInterrupt
    assert not (tmp_path / "debian").exists()


def test_an_image_that_was_cut_short_is_not_the_latest(tmp_path: Path) -> None:
    output = Output(tmp_path, "debian")
    build(output, "content")
    (tmp_path / "debian/2026-01-31.1/debian.qcow2").write_text("con")
    assert output.latest() is None


def test_what_a_killed_build_left_goes_with_the_next(tmp_path: Path) -> None:
    output = Output(tmp_path, "debian")
    (tmp_path / "debian/.2026-01-31.1.dead").mkdir(parents=True)
    (tmp_path / "debian/.latest.dead").symlink_to("x")
    build(output, "content")
    assert sorted(path.name for path in (tmp_path / "debian").iterdir()) == ["2026-01-31.1", "latest"]
