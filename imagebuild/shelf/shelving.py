"""Builds a shelf: brings artifacts onto it, and replaces its indexes.

The order keeps every index that a reader can see true, whenever this process ends:

1. Images arrive in a folder that nobody reads; indexes are written and signed there. Until here
   nothing has changed, and every error ends here.
2. Images get their final names. No index names them yet.
3. The record is written: the next build knows the new revisions, even if this one is killed now.
4. The indexes are replaced, one rename each. Old and new ones only name files that are there.
5. The record says that all of them were replaced. Files that neither the indexes nor those before name
   are removed.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from imagebuild.errors import HostError, ImageBuildError, UsageError
from imagebuild.host.gpg import SigningKey
from imagebuild.image import disk_image
from imagebuild.printable import counted
from imagebuild.progress import Progress, Reporter
from imagebuild.publish import signed
from imagebuild.publish.release import Release, release
from imagebuild.publish.signed import Acceptance
from imagebuild.shelf import changes, documents, on_disk
from imagebuild.shelf import record as records
from imagebuild.shelf.changes import Arrival
from imagebuild.shelf.entry import Entry, entry
from imagebuild.shelf.on_disk import IMAGES, Shelf
from imagebuild.shelf.record import ShelfRecord, ShelvedFile
from imagebuild.store.artifact import Artifact


@dataclass(frozen=True)
class ShelfOptions:
    """What a build of a shelf is asked for. ``unsigned`` permits to take the signatures from a shelf
    that has some, ``into_existing`` to begin one in a folder that has other files. All artifacts must be
    signed if ``accepted`` says by whom.
    """

    keep: int = 2
    drop: Sequence[str] = ()
    unverified: bool = False
    unsigned: bool = False
    key: SigningKey | None = None
    into_existing: bool = False
    accepted: Acceptance | None = None


@dataclass(frozen=True)
class BuiltShelf:
    """What a build of a shelf has done: the new record, the names of files that were added and removed,
    and of the damaged or missing versions that it has found, as TEMPLATE VERSION.
    """

    record: ShelfRecord
    added: tuple[str, ...]
    removed: tuple[str, ...]
    lost: tuple[str, ...]


@dataclass
class _Delivery:
    """Files in ``incoming`` with their final names, and the versions that they belong to."""

    arrivals: list[Arrival] = field(default_factory=list)
    files: list[tuple[Path, str]] = field(default_factory=list)


def build(root: Path, artifacts: Sequence[Artifact], options: ShelfOptions, reports: Reporter) -> BuiltShelf:
    """Put artifacts on the shelf in a folder, and replace its indexes.

    Raises UsageError for artifacts that cannot be on it, ImageBuildError for damaged ones, HostError if
    there is no room or another build is running. The shelf is then as it was before, unless replacing an
    index failed: then some are new, and all are true.
    """
    with _room(root), on_disk.opened(root, into_existing=options.into_existing) as shelf:
        former = shelf.record()
        _check_signer(former, options)
        delivery = _Delivery()
        for artifact, found in _checked(artifacts, options, reports):
            with reports.step(found.template, "copy") as progress:
                before = len(delivery.files)
                _bring(shelf, artifact, found, former, delivery, progress)
                new = len(delivery.files) > before
                progress.summary(f"{found.version}, {found.size >> 20} MiB" if new else f"{found.version} is there")
        with reports.step(root.name or str(root), "index") as progress:
            return _switched(shelf, former, delivery, options, progress)


@contextmanager
def _room(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise HostError(
            f"no space left for the shelf {root}", "free some space, or keep fewer versions with --keep"
        ) from error


def _checked(artifacts: Sequence[Artifact], options: ShelfOptions, reports: Reporter) -> list[tuple[Artifact, Release]]:
    """The releases of all artifacts; their images are read. Raises one error for all without a verdict."""
    found = []
    for artifact in artifacts:
        with reports.step(artifact.recipe, "check") as progress:
            new = release(artifact)
            if options.accepted is not None:
                progress.update("checking the signature")
                new = signed.checked(new, artifact, options.accepted)
            found.append((artifact, new))
            progress.summary(f"{artifact.version}, {found[-1][1].verdict or 'not verified'}")
    bad = [one for _, one in found if one.verdict != "passed"]
    if bad and not options.unverified:
        told = ", ".join(f"{one.template} {one.version} ({one.verdict or 'not verified'})" for one in bad)
        raise UsageError(
            f"not all images have passed their verification: {told}",
            "run `imagebuild verify` on them, or put them on the shelf as they are with --unverified",
        )
    return found


def _check_signer(former: ShelfRecord, options: ShelfOptions) -> None:
    if former.signer and options.key is None and not options.unsigned:
        raise UsageError(
            f"the shelf is signed with the key {former.signer}, and clients that check this would refuse it",
            "sign it with --sign, or remove the signatures with --unsigned",
        )


def _bring(
    shelf: Shelf, artifact: Artifact, found: Release, former: ShelfRecord, delivery: _Delivery, progress: Progress
) -> None:
    """Copy what the shelf does not have yet."""
    about = entry(artifact, found)
    known = {file.name: file for file in former.files}
    number, done, files = len(delivery.arrivals), 0, []

    def count(size: int) -> None:
        nonlocal done
        done += size
        progress.update("copying", min(1.0, done / max(1, found.size)))

    for at, one in enumerate(found.files, start=1):
        item = f"disk{at}.img"
        name = records.file_name(found.template, found.version, item, one.stored.sha256)
        there = known.get(name)
        if there is None or there.sha256 != one.stored.sha256 or not shelf.is_whole(there):
            path, there = _copied(shelf, one.path, f"{number}-{item}", one.stored.sha256, count)
            delivery.files.append((path, name))
        files.append(replace(there, item=item, name=name))
    files += _small(shelf, found, about, number, delivery)
    delivery.arrivals.append((found.template, replace(about.version, files=tuple(files))))


def _copied(shelf: Shelf, source: Path, name: str, sha256: str, count: on_disk.Bytes) -> tuple[Path, ShelvedFile]:
    path, copied = shelf.bring(source, name, count)
    if copied.sha256 != sha256:
        raise ImageBuildError(f"{source} changed while it was copied", "build the shelf again; nothing was changed")
    disk_image.recognise(path, "qcow2")
    return path, copied


def _small(shelf: Shelf, found: Release, about: Entry, number: int, delivery: _Delivery) -> list[ShelvedFile]:
    """The manifest, the domain definition, and what is signed."""
    files = []
    for item, content in about.small.items():
        file = documents.described(item, content)
        file = replace(file, name=records.file_name(found.template, found.version, item, file.sha256))
        if not shelf.is_whole(file):
            delivery.files.append((shelf.write(f"{number}-{item}", content), file.name))
        files.append(file)
    return files


def _switched(
    shelf: Shelf, former: ShelfRecord, delivery: _Delivery, options: ShelfOptions, progress: Progress
) -> BuiltShelf:
    arriving = {file.name for _, version in delivery.arrivals for file in version.files}
    missing = {file.name for file in former.files if file.name not in arriving and not shelf.has(file)}
    new = changes.changed(
        former,
        delivery.arrivals,
        missing=missing,
        drop=options.drop,
        keep=options.keep,
        now=datetime.now(UTC).isoformat(timespec="seconds"),
        signer=options.key.fingerprint if options.key is not None else "",
    )
    written = documents.write(shelf, new, options.key)
    shelf.prepare(former)
    wanted = {file.name for file in new.files}
    arrived = [(path, name) for path, name in delivery.files if name in wanted]
    for path, name in arrived:
        shelf.put(path, f"{IMAGES}/{name}")
    shelf.sync()
    shelf.write_record(new)
    for path, name in written:
        shelf.put(path, name)
    if options.key is None:
        documents.remove_signed(shelf)
    shelf.sync()
    shelf.write_record(replace(new, complete=True))
    removed = shelf.clear(wanted | set(new.grace))
    progress.summary(f"{counted(len(new.templates), 'template')}, {counted(len(removed), 'file')} removed")
    lost = (f"{one.name} {version.version}" for one in former.templates for version in one.versions
            if missing & {file.name for file in version.files})  # fmt: skip
    return BuiltShelf(replace(new, complete=True), tuple(name for _, name in arrived), tuple(removed), tuple(lost))
