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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

import imagebuild
from imagebuild.customise import sockets
from imagebuild.customise.host_inputs import Supplies
from imagebuild.customise.result import RESULT, RESULTS, CustomiseResult, OperationResult
from imagebuild.customise.sockets import SocketFolder
from imagebuild.errors import CommandFailed, GuestError, GuestStuck, HostError
from imagebuild.files import is_utf8
from imagebuild.guest import Key
from imagebuild.host.process import run as run_program
from imagebuild.image.disk_image import Format
from imagebuild.progress import SILENT, Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from imagebuild.customise.operation import OperationCall
T = TypeVar("T")
_FAILURES: dict[str, type[GuestError | HostError]] = {one.__name__: one for one in (GuestError, GuestStuck, HostError)}
_STUCK = 600.0

Task = Literal["customise", "differences", "audit"]
"""Apply the operations; apply them and report the differences of texts; or only check what
scrubbing would find."""


@dataclass(frozen=True)
class Order:
    """What the child reads from its standard input, as JSON."""

    disk: str
    more: tuple[str, ...]
    fmt: Format
    accel: Literal["kvm", "tcg"]
    network: bool
    tmpdir: str
    operations: tuple[tuple[str, dict[str, Any], Supplies], ...]
    task: Task = "customise"
    keys: tuple[Key, ...] = ()
    before: tuple[OperationResult, ...] = ()
    layers: str = ""
    stuck_after: float = 0.0


class KeepLayer(Protocol):
    """Accepts a folder with copies of the disks, which it moves away, and the results of the
    operations so far."""

    def __call__(self, folder: Path, results: Sequence[OperationResult]) -> None: ...


class _EventReader:
    """Reads the child's events: one JSON object per line. Nobody else writes to that pipe."""

    def __init__(self, progress: Progress, keep_layer: KeepLayer | None) -> None:
        self._progress = progress
        self._keep_layer = keep_layer
        self.result: CustomiseResult | None = None
        self.failure: HostError | GuestError | None = None
        self._sockets: list[SocketFolder] = []

    def __call__(self, line: str) -> None:
        try:
            event = json.loads(line)
        except ValueError:
            return  # the last line of a child that was killed while writing
        match event:
            case {"event": "progress", "detail": str(detail), "fraction": float(fraction)}:
                self._progress.update(detail, fraction)
            case {"event": "sockets", "path": str(path), "device": int(device), "inode": int(inode)}:
                if folder := sockets.held(Path(path), (device, inode)):
                    self._sockets.append(folder)
            case {"event": "layer", "folder": str(folder), "results": results}:
                if self._keep_layer is not None:
                    self._keep_layer(Path(folder), RESULTS.validate_python(results))
            case {"event": "result", "result": result}:
                self.result = RESULT.validate_python(result)
            case {"event": "failed", "kind": str(kind), "message": str(message), "hint": hint}:
                # The first failure is the cause; later ones are its effect on a call in progress.
                self.failure = self.failure or _FAILURES.get(kind, GuestError)(message, hint)

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
    keep_layer: KeepLayer | None = None,
    stuck_after: float = _STUCK,
) -> CustomiseResult:
    """Apply ``operations`` to the guest on ``disk``, which must be a working copy or an overlay.

    ``more`` are the guest's other disks, of the same format. After an error the content of all of
    them is undefined. ``network`` allows a network card if an operation asks for one; ``workdir``
    is a folder for temporary files; ``keys`` unlock encrypted volumes; ``timeout`` is in seconds.
    ``before`` are the results of operations that were already applied to a raw disk. ``keep_layer``
    is called whenever the current state is worth keeping. An audit takes no operations, and its
    result contains what each operation would find.

    Raises HostError if the libguestfs appliance does not start, GuestError if there is no guest on
    the disk, an operation fails or the timeout expires, and GuestStuck for an emulated appliance
    that has used no CPU for ``stuck_after`` seconds.
    """
    if not is_utf8(f"{disk.absolute()}{workdir.absolute()}"):
        raise HostError(
            f"libguestfs does not accept {disk.parent}: the path is not valid UTF-8",
            "rename the folder, or write to another one with --output",
        )
    reader = _EventReader(progress, keep_layer)
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
            layers=tmpdir if keep_layer is not None else "",
            stuck_after=stuck_after if accel == "tcg" else 0.0,
        )
        return _carried_out(order, reader, timeout)


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
