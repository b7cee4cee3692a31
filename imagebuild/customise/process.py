"""Customising a disk in a separate process.

libguestfs cannot be interrupted from within: a call returns only when its appliance answers or
dies. Therefore a child process makes the calls. It can be ended at any time, and takes its
appliance with it.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

import imagebuild
from imagebuild.customise import sockets
from imagebuild.customise.additions import GuestDiffers
from imagebuild.customise.order import Order, Task
from imagebuild.customise.sockets import SocketFolder
from imagebuild.errors import CommandFailed, GuestError, GuestStuck, HostError
from imagebuild.events import (
    CheckpointReady,
    Customised,
    CustomiseProgress,
    CustomisingFailed,
    SocketFolderMade,
    customise_event,
)
from imagebuild.files import is_utf8
from imagebuild.guest import Key
from imagebuild.host.process import run as run_program
from imagebuild.image.disk_image import Format
from imagebuild.progress import SILENT, Progress
from imagebuild.schema.customised import CustomiseResult, OperationResult

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from imagebuild.customise.operation import OperationCall
T = TypeVar("T")
_FAILURES: dict[str, type[GuestError | HostError]] = {
    one.__name__: one for one in (GuestError, GuestDiffers, GuestStuck, HostError)
}
_STUCK = 600.0


class KeepCheckpoint(Protocol):
    """Accepts a folder with copies of the disks, which it moves away, and the results of the
    operations so far."""

    def __call__(self, folder: Path, results: Sequence[OperationResult]) -> None: ...


class _EventReader:
    """Reads the child's events: one JSON object per line. Nobody else writes to that pipe."""

    def __init__(self, progress: Progress, keep_checkpoint: KeepCheckpoint | None) -> None:
        self._progress = progress
        self._keep_checkpoint = keep_checkpoint
        self.result: CustomiseResult | None = None
        self.failure: HostError | GuestError | None = None
        self._sockets: list[SocketFolder] = []

    def __call__(self, line: str) -> None:
        event = customise_event(line)
        match event:
            case CustomiseProgress():
                self._progress.update(event.detail, event.fraction)
            case SocketFolderMade():
                if folder := sockets.held(Path(event.path), (event.device, event.inode)):
                    self._sockets.append(folder)
            case CheckpointReady():
                if self._keep_checkpoint is not None:
                    self._keep_checkpoint(Path(event.folder), event.results)
            case Customised():
                self.result = event.result
            case CustomisingFailed():
                # The first failure is the cause; later ones are its effect on a call in progress.
                self.failure = self.failure or _FAILURES.get(event.kind, GuestError)(event.message, event.hint)

    def clear(self) -> None:
        """Remove the files that libguestfs created elsewhere: the child has done so, unless it was
        killed outright."""
        for folder in self._sockets:
            folder.remove()
        self._sockets.clear()


def run(
    disk: Path,
    fmt: Format,
    operations: Sequence[OperationCall],
    *,
    accel: Literal["kvm", "tcg"],
    workdir: Path,
    more: Sequence[Path] = (),
    network: bool = True,
    progress: Progress = SILENT,
    timeout: float = 1800.0,
    task: Task = "customise",
    keys: Sequence[Key] = (),
    before: Sequence[OperationResult] = (),
    keep_checkpoint: KeepCheckpoint | None = None,
    stuck_after: float = _STUCK,
    additions: tuple[Path, Path] | None = None,
    inventories: Sequence[Path] = (),
    other_guests: Sequence[Sequence[Path]] = (),
) -> CustomiseResult:
    """Apply ``operations`` to the guest on ``disk``, which must be a working copy or an overlay.

    ``more`` are the guest's further disks, of the same format. After an error the content of all of
    them is undefined. ``network`` allows a network card where an operation asks for one; the folder
    ``workdir`` is for temporary files; ``keys`` open what is encrypted; ``timeout`` is in seconds.
    ``before`` is what was done to a raw disk already, and ``keep_checkpoint`` is called whenever it
    is worth keeping what it has become. An audit takes no operations, and its result tells what
    each would find.

    ``additions`` are an archive and its description (``imagebuild.customise.additions``), which are
    added to the guest first; GuestDiffers says that they do not fit it.

    ``inventories`` are files that get the inventory of the guest, and of each of the
    ``other_guests`` of an inspection. There is none of a customised guest if it cannot be listed.

    Raises HostError if the libguestfs appliance does not start, GuestError if there is no guest on
    the disk, an operation fails or the timeout expires, and GuestStuck for an emulated appliance
    that has used no CPU for ``stuck_after`` seconds.
    """
    _check_path(disk, workdir)
    reader = _EventReader(progress, keep_checkpoint)
    with tempfile.TemporaryDirectory(prefix="customise-", dir=workdir) as tmpdir:
        order = Order(
            disk=str(disk.absolute()),
            more=tuple(str(path.absolute()) for path in more),
            fmt=fmt,
            accel=accel,
            network=network,
            tmpdir=tmpdir,
            operations=tuple((call.name, call.params.model_dump(mode="json"), call.supplies) for call in operations),
            task=task,
            keys=tuple(keys),
            before=tuple(before),
            checkpoints=tmpdir if keep_checkpoint is not None else "",
            stuck_after=stuck_after if accel == "tcg" else 0.0,
            additions=None if additions is None else (str(additions[0].absolute()), str(additions[1].absolute())),
            inventories=tuple(str(path.absolute()) for path in inventories),
            other_guests=tuple(tuple(str(path.absolute()) for path in one) for one in other_guests),
        )
        return _carried_out(order, reader, timeout)


def _check_path(disk: Path, workdir: Path) -> None:
    if not is_utf8(f"{disk.absolute()}{workdir.absolute()}"):
        raise HostError(
            f"libguestfs does not accept {disk.parent}: the path is not valid UTF-8",
            "rename the folder, or write to another one with --output",
        )


def _carried_out(order: Order, reader: _EventReader, timeout: float) -> CustomiseResult:
    """Have a child process carry out the order; ``reader`` receives its events."""
    disk = Path(order.disk).name
    try:
        completed = run_program(
            [sys.executable, "-P", "-m", "imagebuild.customise"],
            timeout=timeout,
            env=_environment(),
            input=json.dumps(asdict(order)),
            check=False,
            on_line=reader,
            apart=True,
        )
    except CommandFailed as error:
        raise GuestError(
            f"customising {disk} did not end within {timeout:.0f} s", "the build log shows how far it got"
        ) from error
    finally:
        reader.clear()
    if reader.failure is not None:
        raise reader.failure
    if reader.result is None:
        raise GuestError(
            f"the process that customises {disk} ended early (exit status {completed.returncode})",
            "the build log contains its output",
        )
    return reader.result


def again_if_stuck(work: Callable[[], T], tell: Callable[[str], None]) -> T:
    """The result of ``work``, which begins with new copies of the disks. If the appliance gets
    stuck, it is repeated once."""
    try:
        return work()
    except GuestStuck as error:
        tell(f"{error.message}; starting again")
        return work()


def _environment() -> dict[str, str]:
    """Which imagebuild the child runs, and the user's settings for libguestfs and its appliance."""
    env = {name: value for name, value in os.environ.items() if name.startswith(("LIBGUESTFS_", "SUPERMIN_"))}
    return env | {"PYTHONPATH": str(Path(str(imagebuild.__file__)).parents[1])}
