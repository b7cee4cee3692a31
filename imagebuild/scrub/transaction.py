"""The end of a scrub, in steps that can be repeated. If it is interrupted, the images are
unchanged, or the next run completes it.

The journal (see there) and the new files are in the workshop next to the first image. All of it is
checked against the images on the command line before anything is changed, even if the journal has
just been written.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from imagebuild.errors import HostError, UsageError
from imagebuild.files import allocated, sync
from imagebuild.host.hints import command_line
from imagebuild.host.ownership import why_not_private
from imagebuild.image import disk_image
from imagebuild.scrub import journal, workshop
from imagebuild.scrub.images import ImageToScrub, check_unused
from imagebuild.scrub.journal import FileIdentity, Journal, ReplacedImage, Task
from imagebuild.scrub.overwrite import overwrite
from imagebuild.scrub.workshop import Workshop, distrusted, done_name


@dataclass(frozen=True)
class _Step:
    """One disk of a journal: the image, and the open new file, or None if that has already replaced
    the image."""

    number: int
    done: int | None
    image: Path


def finish(work: Workshop, task: Task, images: Sequence[ImageToScrub]) -> None:
    """Give each image the content of the new file with its number. Raises HostError, before any
    change, if there is not enough space."""
    files = [work.done(number) for number in range(len(images))]
    for file in files:
        sync(file)
    if task == "overwrite":
        _check_growth(files, images)
    disks = tuple(
        ReplacedImage(image=FileIdentity.of(image.path.stat()), done=FileIdentity.of(file.lstat()))
        for image, file in zip(images, files, strict=True)
    )
    if len({disk.image.inode for disk in disks}) < len(disks):
        raise HostError(
            "two of the images, on different file systems, have the same inode number", "use a copy of one of them"
        )
    with _uninterrupted():
        journal.write(work, Journal(task=task, format=images[0].format, disks=disks))
        _carry_out(work, images)


def place(work: Workshop, image: ImageToScrub, output: Path, *, private: bool) -> None:
    """Give the only new file the name ``output``, which must not exist, with the owner and mode of
    ``image``. With ``private``, only its owner may access it."""
    with work.done(0).open("rb") as file:
        _take_after(file.fileno(), image.path)
        if private:
            os.fchmod(file.fileno(), 0o600)
        os.fsync(file.fileno())
    try:
        output.hardlink_to(work.done(0))
    except FileExistsError as error:
        raise UsageError(f"{output} already exists") from error
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK):
            raise
        work.done(0).rename(output)  # a file system without hard links
    sync(output.parent)


def finish_interrupted(images: Sequence[ImageToScrub]) -> bool:
    """Complete what a run wrote down about these images before it died; returns whether there was
    anything."""
    found = False
    for image in images:
        with workshop.existing(image.path) as work:
            if work is not None and work.has_journal():
                with _uninterrupted():
                    _carry_out(work, images)
                    work.remove()
                found = True
    return found


def refuse_unfinished(images: Sequence[ImageToScrub]) -> None:
    """Raise HostError if a run died while it changed these images: they may contain a mixture of
    old and new content."""
    for image in images:
        with workshop.existing(image.path) as work:
            if work is not None and work.has_journal():
                written = journal.read(work)
                with ExitStack() as opened:
                    for number in range(len(written.disks)):
                        _checked(work, written, number, images, opened)
                raise HostError(
                    f"an earlier scrub of {image.path} was interrupted while it changed {_disks(len(written.disks))}",
                    "to finish it and scrub again, run: "
                    f"{command_line('imagebuild', 'scrub', *(one.path for one in images))}",
                )


def _carry_out(work: Workshop, images: Sequence[ImageToScrub]) -> None:
    written = journal.read(work)
    with ExitStack() as opened:
        steps = [_checked(work, written, number, images, opened) for number in range(len(written.disks))]
        if written.task == "overwrite":
            check_unused(images, to_write=True)
        for step in steps:
            if step.done is None:
                continue
            if written.task == "swap":
                _take_after(step.done, step.image)
                os.fsync(step.done)
                os.rename(done_name(step.number), step.image, src_dir_fd=work.descriptor)
                sync(step.image.parent)
            else:
                _overwrite(step.done, step.image)
    journal.remove(work)


def _checked(work: Workshop, written: Journal, number: int, images: Sequence[ImageToScrub], opened: ExitStack) -> _Step:
    """The step for one disk. Raises HostError unless the journal, the new file and the image match."""
    disk = written.disks[number]
    inodes = {disk.image.inode, disk.done.inode} if written.task == "swap" else {disk.image.inode}
    image = next((one for one in images if one.path.stat().st_ino in inodes), None)
    if image is None:
        if len(images) < len(written.disks):
            raise HostError(
                f"{work.path} contains an unfinished scrub of {_disks(len(written.disks))}",
                f"give all of them; to discard the scrub, remove the folder: {command_line('rm', '-r', work.path)}",
            )
        raise distrusted(work.path, f"disk {number + 1} in its journal matches none of the images")
    if image.format != written.format:
        raise HostError(
            f"an unfinished scrub treated {image.path} as a {written.format} image", f"use --format {written.format}"
        )
    now = FileIdentity.of(image.path.stat())
    done = _open_done(work, number, image, opened)
    if done is None:
        if written.task == "swap" and now == disk.done:
            return _Step(number, None, image.path)
        raise distrusted(work.path, f"{done_name(number)} is missing")
    if FileIdentity.of(os.fstat(done)) != disk.done:
        raise distrusted(work.path, f"{done_name(number)} is not the file in its journal")
    if written.task == "swap" and now != disk.image:
        raise distrusted(work.path, f"{image.path} has been changed since")
    return _Step(number, done, image.path)


def _open_done(work: Workshop, number: int, image: ImageToScrub, opened: ExitStack) -> int | None:
    """The new file, open, if it exists. Raises HostError for one that was not created by this
    user's imagebuild."""
    name = done_name(number)
    try:
        if not stat.S_ISREG(os.stat(name, dir_fd=work.descriptor, follow_symlinks=False).st_mode):
            raise distrusted(work.path, f"{name} is not a regular file")
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=work.descriptor)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise distrusted(work.path, f"{name} cannot be read: {error.strerror}") from error
    file = opened.enter_context(os.fdopen(descriptor, "rb", buffering=0))
    status = os.fstat(descriptor)
    given_away = status.st_uid == image.path.stat().st_uid  # by a run that died between chown and rename
    if status.st_nlink != 1 or (why_not_private(status) and not given_away):
        raise distrusted(work.path, f"{name} has several hard links, another owner, or permissions for other users")
    try:
        disk_image.check(file, work.path / name, image.format)
    except UsageError as error:
        raise distrusted(work.path, error.message) from error
    return descriptor


def _overwrite(done: int, image: Path) -> None:
    try:
        overwrite(done, image)
    except OSError as error:
        raise HostError(
            f"{image} is only partly written: {error.strerror}",
            "the new content is kept next to it: fix the problem, and run the same command again",
        ) from error


def _check_growth(files: Sequence[Path], images: Sequence[ImageToScrub]) -> None:
    """Raise HostError if an image would grow beyond the free space of its file system."""
    for file, image in zip(files, images, strict=True):
        need = allocated(file) - allocated(image.path)
        free = shutil.disk_usage(image.path.parent).free
        if need > free:
            raise HostError(
                f"the new content of {image.path} needs {need >> 20} MiB more, but only {free >> 20} MiB are free",
                "use --output to write to another file system",
            )


def _take_after(done: int, image: Path) -> None:
    """Copy the owner, mode and extended attributes of the image; its times do not matter."""
    was, now = image.stat(), os.fstat(done)
    if (was.st_uid, was.st_gid) != (now.st_uid, now.st_gid):
        os.fchown(done, was.st_uid, was.st_gid)
    there = os.listxattr(done)
    for name in os.listxattr(image):
        if name not in there:
            os.setxattr(done, name, os.getxattr(image, name))
    os.fchmod(done, was.st_mode & 0o7777)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Delay Ctrl-C and other signals until the end of the block: completing it is the fastest way
    to consistent images."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread gets signals
        return
    came: list[int] = []
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    handlers = [signal.signal(one, lambda number, _: came.append(number)) for one in signals]
    try:
        yield
    finally:
        for one, handler in zip(signals, handlers, strict=True):
            signal.signal(one, handler)
        if came:
            signal.raise_signal(came[0])


def _disks(count: int) -> str:
    return "it" if count == 1 else f"{count} disks"
