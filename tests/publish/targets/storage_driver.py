"""Publishes to one target as the engine does; run as a program it is killed by the tests.

storage_driver.py NAME ENTRY.json FOLDER VERSION=FILE…
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
from pathlib import Path

from imagebuild.errors import ImageBuildError
from imagebuild.project.model import StorageTarget
from imagebuild.publish import names, state
from imagebuild.publish.protocol import Progress, TemplateTarget
from imagebuild.publish.release import Release, ReleaseFile
from imagebuild.publish.state import StoredFile, TemplateState
from imagebuild.publish.targets import s3_upload
from imagebuild.publish.targets.storage_targets import storage_target

TEMPLATE = "debian-13"
MIB = 1 << 20


def quiet(done: int, total: int) -> None:
    assert 0 <= done <= total


def image(path: Path, size: int, seed: int = 0) -> Path:
    """A file of random bytes."""
    path.write_bytes(random.Random(seed).randbytes(size))
    return path


def release_of(version: str, path: Path) -> Release:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    name = names.file_name(TEMPLATE, version, digest)
    file = ReleaseFile(path, StoredFile(name, path.stat().st_size, digest), 10 * MIB)
    return Release(TEMPLATE, version, (file,), "<domain/>", "passed", "")


class WrongBytes(ImageBuildError):
    """What is stored is not what was sent."""


def publish(target: TemplateTarget, release: Release, progress: Progress = quiet) -> int:
    """Returns the bytes sent."""
    with target.lock():
        before = target.state(release.template)
        count = 0
        for file in release.files:
            count += target.send(file, before, progress)
            if target.digest(file.stored, quiet) != file.stored.sha256:
                raise WrongBytes("other bytes")
        target.switch(after(before, release))
    return count


def after(before: TemplateState | None, release: Release) -> TemplateState:
    new = release.published(release.definition)
    return before.with_version(new) if before else state.first(release.template, new)


def opened(name: str, entry: dict[str, object], folder: Path) -> TemplateTarget:
    return storage_target(name, StorageTarget.model_validate(entry), folder)


def main() -> None:
    name, entry, folder, *versions = sys.argv[1:]
    s3_upload.PIECE = 5 * MIB
    target = opened(name, json.loads(Path(entry).read_text()), Path(folder))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for one in versions:
        version, _, path = one.partition("=")
        publish(target, release_of(version, Path(path)))
        sys.stdout.write(f"published {version}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
