"""A target in memory, in which each call can be made to fail, and releases for it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from imagebuild.errors import HostError
from imagebuild.progress import SILENT_REPORTER
from imagebuild.publish import names, state
from imagebuild.publish.parallel import Work
from imagebuild.publish.places import TargetPlace
from imagebuild.publish.protocol import Progress
from imagebuild.publish.publication import Publication
from imagebuild.publish.publishing import Publishing
from imagebuild.publish.release import Release, ReleaseFile
from imagebuild.publish.results import TargetResult
from imagebuild.publish.state import StoredFile, TemplateState

DEFINITION = "<domain type='kvm'/>"


class MemoryTarget:
    """Files and records in dictionaries. ``hooks`` has what is called first by a method's name, and
    ``calls`` the names of the methods in the order of the calls.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.files: dict[str, bytes] = {}
        self.records: dict[str, str] = {}
        self.users: dict[str, str] = {}
        self.calls: list[str] = []
        self.hooks: dict[str, Callable[[], None]] = {}
        self.corrupts = 0
        """How many of the next transfers leave wrong bytes."""
        self.held = False
        self._lock = threading.Lock()

    @contextmanager
    def opened(self) -> Iterator[MemoryTarget]:
        self._call("open")
        yield self
        self.calls.append("close")

    def place(self) -> TargetPlace:
        return TargetPlace(self.name, self.opened, f"memory:{self.name}")

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if name in self.hooks:
            self.hooks[name]()

    def failing(self, name: str, message: str = "") -> None:
        """Make a method fail as for a target that does not answer."""

        def fail() -> None:
            raise HostError(message or f"{self.name} does not answer: {name}")

        self.hooks[name] = fail

    @contextmanager
    def lock(self) -> Iterator[None]:
        self._call("lock")
        with self._lock:
            self.held = True
            try:
                yield
            finally:
                self.held = False

    def templates(self) -> list[str]:
        self._call("templates")
        return sorted(self.records)

    def state(self, template: str) -> TemplateState | None:
        self._call("state")
        found = self.records.get(template)
        return None if found is None else state.decoded(found, template)

    def stored(self) -> Mapping[str, int]:
        self._call("stored")
        return {name: len(content) for name, content in self.files.items()}

    def send(self, file: ReleaseFile, template: TemplateState | None, progress: Progress) -> int:
        assert self.held
        self._call("send")
        content = file.path.read_bytes()
        there = self.files.get(file.stored.name, b"")
        if len(there) == len(content):
            return 0
        progress(0, len(content))
        self.files[file.stored.name] = content[: len(content) // 2]
        progress(len(content) // 2, len(content))
        self._call("send half")
        self.corrupts -= 1
        self.files[file.stored.name] = content if self.corrupts < 0 else content[::-1]
        return len(content)

    def digest(self, file: StoredFile, progress: Progress) -> str:
        self._call("digest")
        content = self.files.get(file.name)
        if content is None:
            return ""
        progress(len(content), len(content))
        return hashlib.sha256(content).hexdigest()

    def switch(self, state_: TemplateState) -> None:
        assert self.held
        self._call("switch")
        self.records[state_.template] = state.encoded(state_)
        self._call("switched")

    def used(self, state: TemplateState) -> Mapping[str, str]:
        self._call("used")
        of_it = {file.name for one in state.versions for file in one.files}
        return {name: user for name, user in self.users.items() if name in of_it}

    def remove(self, file: str) -> None:
        assert self.held
        self._call("remove")
        named = {one.name for text in self.records.values() for one in _files(text)}
        assert file not in named or "repair" in self.hooks
        self.files.pop(file, None)

    def current(self, template: str = "web") -> str:
        found = self.records.get(template)
        return "" if found is None else state.decoded(found, template).current


def _files(text: str) -> list[StoredFile]:
    import json

    template = json.loads(text)["template"]
    return [file for one in state.decoded(text, template).versions for file in one.files]


def release(folder: Path, version: str, *, template: str = "web", disks: int = 1, content: str = "") -> Release:
    """A release of small files in ``folder``."""
    files = []
    for number in range(1, disks + 1):
        disk = template if number == 1 else f"{template}-disk{number}"
        data = f"{content or version} disk {number} ".encode() * 100
        path = folder / f"{disk}-{version}-{content}.qcow2"
        path.write_bytes(data)
        sha256 = hashlib.sha256(data).hexdigest()
        files.append(ReleaseFile(path, StoredFile(names.file_name(disk, version, sha256), len(data), sha256), 1 << 20))
    return Release(template, version, tuple(files), DEFINITION, "passed", "f" * 64)


def publication(wanted: Release, *, verify_stored: bool = True, repair: bool = False) -> Publication:
    return Publication(wanted, wanted.published(DEFINITION), verify_stored, repair)


def published(wanted: Release, *targets: MemoryTarget) -> list[TargetResult]:
    """Publish a release to targets, in this order."""
    return Publishing(Work(SILENT_REPORTER), publication(wanted)).go([one.place() for one in targets])
