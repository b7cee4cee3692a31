"""A shelf whose builder is killed at random instants, and read all the time."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.shelf.artifacts import artifact, problems, sections

BUILDER = """
import os, sys
from pathlib import Path
from imagebuild.progress import SILENT_REPORTER
from imagebuild.shelf import shelving
from imagebuild.shelf.on_disk import opened
from imagebuild.store.artifact import Artifact

shelf, *folders = map(Path, sys.argv[1:])
found = [Artifact(one, "web", one.name) for one in folders]
for _ in sys.stdin:
    if builder := os.fork():
        print(builder, flush=True)
        os.waitpid(builder, 0)
        print("ended", flush=True)
    while not builder:
        for first, second in zip(found, found[1:]):
            with opened(shelf) as there:
                drop = ["web"] if there.record().templates else []
            shelving.build(shelf, [first, second], shelving.ShelfOptions(drop=drop), SILENT_REPORTER)
"""
"""For each line of input it starts a builder, which builds a changed shelf again and again."""
KILLS = 30


def index_of(shelf: Path) -> dict[str, dict[str, str]]:
    path = shelf / "index"
    return sections(path.read_text()) if path.exists() else {}


def newest(index: dict[str, dict[str, str]]) -> int:
    """The revision of the index: every build of this test changes all revisions."""
    return max((int(one["revision"]) for one in index.values()), default=0)


class Reader(threading.Thread):
    """Opens what the index names, as clients do. A file may vanish only when two builds have passed."""

    def __init__(self, shelf: Path) -> None:
        super().__init__(daemon=True)
        self.shelf, self.over, self.read = shelf, threading.Event(), 0
        self.wrong: list[str] = []

    def run(self) -> None:
        while not self.over.is_set():
            before = index_of(self.shelf)
            for about in before.values():
                try:
                    with (self.shelf / about["file"]).open("rb") as file:
                        self.read += len(file.read(1))
                except FileNotFoundError:
                    if newest(index_of(self.shelf)) < newest(before) + 2:
                        self.wrong.append(about["file"])


@pytest.mark.seconds
def test_a_killed_builder_leaves_a_shelf_that_is_right(tmp_path: Path) -> None:
    shelf = tmp_path / "shelf"
    artifacts = [artifact(tmp_path, version=f"2026-11-29.{number}") for number in range(1, 5)]
    argv = [sys.executable, "-c", BUILDER, shelf, *(one.folder for one in artifacts)]
    contents: dict[tuple[str, str], str] = {}
    chance = random.Random(15)
    reader = Reader(shelf)
    reader.start()
    last, longest = 0, 0.5
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as builders:
        assert builders.stdin is not None
        assert builders.stdout is not None
        for _ in range(KILLS):
            print(file=builders.stdin, flush=True)
            builder = int(builders.stdout.readline())
            time.sleep(chance.uniform(0, longest))
            os.kill(builder, signal.SIGKILL)
            assert builders.stdout.readline() == "ended\n"
            found = index_of(shelf)
            if newest(found) == last:  # a busy machine needs longer for a build
                longest = min(5.0, longest * 1.3)
            if not found:
                continue
            assert problems(shelf) == []
            assert newest(found) >= last
            last = newest(found)
            for name, about in found.items():
                known = contents.setdefault((name, about["revision"]), about["checksum[sha512]"])
                assert known == about["checksum[sha512]"], "a revision stands for one image"
    reader.over.set()
    reader.join()
    assert (reader.wrong, reader.read > 0, last > 2) == ([], True, True)
    command = [sys.executable, "-m", "imagebuild", "shelf", "build", shelf, artifacts[-1].folder]
    for _ in range(2):
        subprocess.run(command, check=True, capture_output=True)
    assert problems(shelf) == []
    assert [path.name for path in (shelf / ".shelf").iterdir()] == ["record.json"]
    named = {Path(line.split("  ")[1]).name for line in (shelf / "SHA256SUMS").read_text().splitlines()}
    assert {path.name for path in (shelf / "images").iterdir()} == named
