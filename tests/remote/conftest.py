"""Remote stores at every kind of place, each with a real server, and stores of two machines."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from faulty_server import serving
from storage_peers import BUCKET, Moto, Sshd

from imagebuild.project.shared_store import SharedStore
from imagebuild.remote.opening import RemoteSettings, open_remote
from imagebuild.remote.remote_store import RemoteStore
from imagebuild.store.store import Store

KEY = "0123456789abcdef" * 4
FINGERPRINT, OTHER = "ab" * 32, "cd" * 32
MIB = 1 << 20
_numbers = itertools.count(1)


def random_bytes(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


def make_entry(
    store: Store, fingerprint: str = FINGERPRINT, *, seed: int = 1, kind: str = "installed", size: int = 3 * MIB + 17
) -> Path:
    """An entry with a sparse disk, a log in a folder, and an empty file."""
    with store.make(
        kind, fingerprint, within=store.root, label="web", inputs={"kickstart": "one"}, replace=True
    ) as folder:
        folder.chmod(0o700)
        with (folder / "disk.raw").open("wb") as disk:
            disk.truncate(200 * MIB)
            disk.seek(5 * MIB + 4096)
            disk.write(random_bytes(seed, size))
            disk.seek(150 * MIB)
            disk.write(b"\1" * MIB)
        (folder / "logs").mkdir()
        (folder / "logs" / "console.log").write_text(f"started {seed}\n")
        (folder / "empty").touch()
        (folder / "program").write_text("#!/bin/sh\n")
        (folder / "program").chmod(0o755)
    found = store.find(kind, fingerprint)
    assert found is not None
    return found


class Remote:
    """A remote store, and a way round it to the objects in it."""

    def __init__(self, entry: dict[str, Any], folder: Path) -> None:
        self.entry, self.folder = entry, folder
        self._open = ExitStack()

    def opened(self, key: str | None = KEY, *, patience: float = 30.0, **more: Any) -> RemoteStore:
        secret = {} if key is None else {"key": {"file": str(self._key(key))}}
        entry = SharedStore.model_validate({**self.entry, **secret, **more})
        return self._open.enter_context(open_remote(RemoteSettings(entry, self.folder, patience=patience)))

    def _key(self, key: str) -> Path:
        path = self.folder / f"key-{key[:8]}"
        path.write_text(key + "\n")
        return path

    def close(self) -> None:
        self._open.close()

    def names(self) -> set[str]:
        """All objects."""
        raise NotImplementedError

    def read(self, name: str) -> bytes:
        raise NotImplementedError

    def write(self, name: str, content: bytes) -> None:
        raise NotImplementedError


class RemoteFolder(Remote):
    def __init__(self, entry: dict[str, Any], folder: Path, root: Path) -> None:
        super().__init__(entry, folder)
        self.root = root

    def names(self) -> set[str]:
        return {str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file()}

    def read(self, name: str) -> bytes:
        return (self.root / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        (self.root / name).write_bytes(content)


class RemoteBucket(Remote):
    def __init__(self, peer: Moto, folder: Path, prefix: str) -> None:
        entry = peer.entry(prefix)
        super().__init__({**entry, "remote": entry.pop("url")}, folder)
        self.entry.pop("url", None)
        self.prefix, self.client = f"{prefix}/", peer.client()

    def names(self) -> set[str]:
        answer = self.client.list_objects_v2(Bucket=BUCKET, Prefix=self.prefix)
        return {one["Key"].removeprefix(self.prefix) for one in answer.get("Contents", ())}

    def read(self, name: str) -> bytes:
        content: bytes = self.client.get_object(Bucket=BUCKET, Key=self.prefix + name)["Body"].read()
        return content

    def write(self, name: str, content: bytes) -> None:
        self.client.put_object(Bucket=BUCKET, Key=self.prefix + name, Body=content)


@pytest.fixture(scope="session")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[type[Any]], Any]]:
    """One running server of each kind."""
    running: dict[type[Any], Any] = {}

    def peer(kind: type[Any]) -> Any:
        if kind not in running:
            running[kind] = kind(tmp_path_factory.mktemp(kind.__name__))
            running[kind].start()
        return running[kind]

    yield peer
    for one in running.values():
        one.kill()


@pytest.fixture
def make_remote(tmp_path: Path, peers: Callable[[type[Any]], Any], no_proxy: None) -> Iterator[Callable[[str], Remote]]:
    made: list[Remote] = []

    def make(kind: str) -> Remote:
        root = tmp_path / "remote"
        root.mkdir(exist_ok=True)
        if kind == "folder":
            made.append(RemoteFolder({"remote": str(root)}, tmp_path, root))
        elif kind == "sftp":
            entry = peers(Sshd).entry(root)
            made.append(RemoteFolder({**entry, "remote": entry.pop("url")}, tmp_path, root))
            made[-1].entry.pop("url", None)
        else:
            made.append(RemoteBucket(peers(Moto), tmp_path, f"s{next(_numbers)}/x"))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(params=["folder", "sftp", "s3"])
def remote(request: pytest.FixtureRequest, make_remote: Callable[[str], Remote]) -> Remote:
    return make_remote(request.param)


@pytest.fixture
def folder(make_remote: Callable[[str], Remote]) -> RemoteFolder:
    found = make_remote("folder")
    assert isinstance(found, RemoteFolder)
    return found


@pytest.fixture
def web(folder: RemoteFolder, tmp_path: Path) -> Iterator[tuple[Remote, Any]]:
    """A web server; ``publish`` in a test copies the objects of ``folder`` to it."""
    with serving() as server:
        yield Remote({"remote": server.url("/store"), "insecure": True}, tmp_path), server


@pytest.fixture
def one(tmp_path: Path) -> Store:
    """The store of a machine that has built something."""
    return Store(tmp_path / "one")


@pytest.fixture
def two(tmp_path: Path) -> Store:
    """The store of a fresh machine."""
    return Store(tmp_path / "two")
