"""The places that the tests publish to, each with a real peer."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import storage_driver
from storage_driver import MIB, image, opened, release_of
from storage_peers import BUCKET, Moto, Rclone, S3Peer, Sshd

from imagebuild.publish.protocol import TemplateTarget
from imagebuild.publish.release import Release
from imagebuild.publish.targets import resuming, s3_upload

KINDS = ("folder", "sftp", "s3", "s3-conditional")
_numbers = itertools.count(1)


class Place:
    """A target, and a way round it to what is stored."""

    def __init__(self, kind: str, entry: dict[str, object], folder: Path) -> None:
        self.kind, self.entry, self.folder = kind, entry, folder

    def target(self) -> TemplateTarget:
        return opened(self.kind, self.entry, self.folder)

    def start(self, *versions: str) -> subprocess.Popen[str]:
        """A process that publishes ``VERSION=FILE``…"""
        path = self.folder / "entry.json"
        path.write_text(json.dumps(self.entry))
        return subprocess.Popen(
            [sys.executable, storage_driver.__file__, self.kind, path, self.folder, *versions],
            stdout=subprocess.PIPE, text=True, start_new_session=True, env=_environment(),
        )  # fmt: skip

    def names(self) -> set[str]:
        raise NotImplementedError

    def read(self, name: str) -> bytes:
        raise NotImplementedError

    def write(self, name: str, content: bytes) -> None:
        raise NotImplementedError


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": ":".join(filter(None, sys.path))}


class InFolder(Place):
    def __init__(self, kind: str, entry: dict[str, object], folder: Path, root: Path) -> None:
        super().__init__(kind, entry, folder)
        self.root = root

    def names(self) -> set[str]:
        return {path.name for path in self.root.iterdir()}

    def read(self, name: str) -> bytes:
        return (self.root / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        (self.root / name).unlink(missing_ok=True)
        (self.root / name).write_bytes(content)


class InBucket(Place):
    def __init__(self, kind: str, peer: S3Peer, folder: Path, prefix: str) -> None:
        super().__init__(kind, peer.entry(prefix), folder)
        self.peer, self.prefix, self.client = peer, prefix, peer.client()

    def names(self) -> set[str]:
        answer = self.client.list_objects_v2(Bucket=BUCKET, Prefix=f"{self.prefix}/")
        return {one["Key"].removeprefix(f"{self.prefix}/") for one in answer.get("Contents", ())}

    def read(self, name: str) -> bytes:
        content: bytes = self.client.get_object(Bucket=BUCKET, Key=f"{self.prefix}/{name}")["Body"].read()
        return content

    def write(self, name: str, content: bytes) -> None:
        self.client.put_object(Bucket=BUCKET, Key=f"{self.prefix}/{name}", Body=content)


@pytest.fixture(scope="session")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[type[Any]], Any]]:
    """One running server of each kind."""
    running: dict[type[Any], Any] = {}

    def peer(kind: type[Any]) -> Any:
        if kind not in running:
            running[kind] = kind(tmp_path_factory.mktemp(kind.__name__))
        if running[kind].process is None:
            running[kind].start()
        return running[kind]

    yield peer
    for one in running.values():
        one.kill()


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch, no_proxy: None) -> None:
    monkeypatch.setattr(s3_upload, "PIECE", 5 * MIB)
    monkeypatch.setattr(s3_upload, "AT_ONCE", 1)
    monkeypatch.setattr(resuming, "BLOCK", MIB)


@pytest.fixture
def make_place(tmp_path: Path, peers: Callable[[type[Any]], Any]) -> Callable[[str], Place]:
    def make(kind: str) -> Place:
        root = tmp_path / "stored"
        root.mkdir()
        if kind == "folder":
            return InFolder(kind, {"url": str(root)}, tmp_path, root)
        if kind == "sftp":
            return InFolder(kind, peers(Sshd).entry(root), tmp_path, root)
        return InBucket(kind, peers(Rclone if kind == "s3" else Moto), tmp_path, f"t{next(_numbers)}/x")

    return make


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, make_place: Callable[[str], Place]) -> Place:
    return make_place(request.param)


@pytest.fixture
def releases(tmp_path: Path) -> tuple[Release, Release]:
    """Two versions of 12 MiB and a bit."""
    return tuple(  # type: ignore[return-value]
        release_of(f"2026-11-29.{number}", image(tmp_path / f"disk{number}", 12 * MIB + 4321, number))
        for number in (1, 2)
    )
