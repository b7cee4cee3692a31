"""The process that makes the calls to libguestfs: it reads an order as JSON and writes events as
lines of JSON.

Events go to what was standard output when the process began. Nothing else can write there: the
output of libguestfs and QEMU, including the guest's console, goes to standard error.

The calls are made in a thread. The main thread waits for a termination signal, for the reader of
the events to disappear, or for a full disk. It then ends the appliance, so that the call in
progress fails and the handle is closed in the regular way. QEMU waits forever when it cannot write
its image.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from imagebuild import events, guest
from imagebuild.contents.encoding import packed
from imagebuild.customise import additions, registry, runner, sockets
from imagebuild.customise.contents import guests
from imagebuild.customise.contents.collect import collect
from imagebuild.customise.files import Files
from imagebuild.customise.order import Order, orders
from imagebuild.customise.sockets import SocketFolder
from imagebuild.errors import GuestError, GuestStuck, HostError, ImageBuildError
from imagebuild.events import (
    CheckpointReady,
    Customised,
    CustomiseEvent,
    CustomiseProgress,
    CustomisingFailed,
    SocketFolderMade,
)
from imagebuild.host.stall import Stall, Usage
from imagebuild.log import logger
from imagebuild.schema.customised import CustomiseResult, OperationResult

_LOOK = 0.2
"""Seconds between two checks of the thread."""
_GRACE = 8.0
"""Seconds that the appliance has to end; less than the parent gives this process."""

_FULL = 1 << 20
"""Bytes: a file system with less free space counts as full."""

_writing = threading.Lock()
_events = sys.stdout


def _take_stdout() -> None:
    """Reserve standard output for events, out of reach of the programs that are started."""
    global _events
    _events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)


def main() -> int:
    """Carry out the order on standard input. Returns 0 if a result was written, 1 if an error was
    written, and 3 if it was ended from outside."""
    _take_stdout()
    ending = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, lambda *_: ending.set())
    order = orders().validate_python(json.load(sys.stdin))
    statuses: list[int] = []
    thread = threading.Thread(target=lambda: statuses.append(_carry_out(order)), daemon=True)
    thread.start()
    reported: dict[Path, SocketFolder] = {}
    stall = Stall(order.stuck_after, time.monotonic()) if order.stuck_after else None
    folders = {
        Path(path).parent for path in (order.disk, *order.more, *(disk for one in order.other_guests for disk in one))
    } | {Path(order.tmpdir)}
    while (
        thread.is_alive()
        and not ending.is_set()
        and not _unheard()
        and not _reported_full(folders)
        and not _reported_stuck(stall)
    ):
        thread.join(_LOOK)
        _report_socket_folder(reported)
    if not thread.is_alive():
        return statuses[0] if statuses else 1
    _end(thread)
    for folder in reported.values():
        folder.remove()
    os._exit(3)


def _carry_out(order: Order) -> int:
    open_guest = partial(
        guest.opened,
        Path(order.disk),
        order.fmt,
        accel=order.accel,
        tmpdir=Path(order.tmpdir),
        more=[Path(path) for path in order.more],
        keys=order.keys,
    )
    try:
        calls = [registry.call(*one) for one in order.operations]
        if order.task in ("inspect", "digest"):
            result = _inspect(order)
        elif order.task == "audit":
            result = runner.audit(open_guest, tell=_tell)
        else:
            result = runner.customise(
                open_guest,
                calls,
                network=order.network,
                tell=_tell,
                differences=order.task == "differences",
                before=order.before,
                first=partial(_add, order.additions) if order.additions else None,
                layer=partial(_keep_checkpoint, Path(order.checkpoints)) if order.checkpoints else None,
                look=partial(_keep_inventory, Path(order.inventories[0])) if order.inventories else None,
            )
    except ImageBuildError as error:
        _emit(CustomisingFailed(kind=type(error).__name__, message=error.message, hint=error.hint))
        return 1
    _emit(Customised(result=result))
    return 0


def _add(paths: tuple[str, str], files: Files) -> None:
    _tell("adding further packages", 0.0)
    additions.apply(files, *map(Path, paths))


def _keep_checkpoint(checkpoints: Path, files: Files, results: Sequence[OperationResult]) -> None:
    """Copy the disks to a new folder, and report the folder to the parent."""
    folder = checkpoints / f"checkpoint-{len(results)}"
    folder.mkdir()
    files.copy_disks(folder)
    _emit(CheckpointReady(folder=str(folder), results=tuple(results)))


def _keep_inventory(path: Path, files: Files, packages: Mapping[str, str]) -> None:
    """Write the inventory of a guest. A guest of which none can be made is customised all the same."""
    try:
        path.write_bytes(packed(collect(files, packages)))
    except GuestError as error:
        path.unlink(missing_ok=True)  # of a try before this one
        logger.warning("there is no inventory of this guest: %s", error)


def _inspect(order: Order) -> CustomiseResult:
    """Write the inventories of one guest or several; nothing else is done to them."""
    left = iter(order.inventories)

    def use(files: Files) -> None:
        _tell("listing the contents", 0.5)
        Path(next(left)).write_bytes(packed(collect(files, all_digests=order.task == "digest")))

    _tell("starting the appliance", 0.0)
    together = [(order.disk, *order.more), *order.other_guests]
    guests.each(
        [[Path(disk) for disk in one] for one in together],
        order.fmt,
        use,
        accel=order.accel,
        tmpdir=Path(order.tmpdir),
        keys=order.keys,
    )
    return CustomiseResult((), {})


def _tell(detail: str, fraction: float) -> None:
    _emit(CustomiseProgress(detail=detail, fraction=fraction))


def _emit(event: CustomiseEvent) -> None:
    with _writing, suppress(BrokenPipeError):
        _events.write(json.dumps(events.data(event)) + "\n")
        _events.flush()


def _unheard() -> bool:
    """Whether nobody reads the events any more, because the parent is gone."""
    poll = select.poll()
    poll.register(_events.fileno(), 0)
    return bool(poll.poll(0))


def _reported_full(folders: Iterable[Path]) -> bool:
    """Whether one of the file systems is full; if so, report that as the failure."""
    for folder in folders:
        with suppress(FileNotFoundError):
            if shutil.disk_usage(folder).free < _FULL:
                hint = "free some space there, and start again"
                message = f"the file system of {folder} is full"
                _emit(CustomisingFailed(kind=HostError.__name__, message=message, hint=hint))
                return True
    return False


def _report_socket_folder(reported: dict[Path, SocketFolder]) -> None:
    """Once it exists, report the folder outside of ``tmpdir`` in which libguestfs keeps its sockets
    to the parent. ``reported`` contains those that have been reported already."""
    for path in sockets.of_this_process():
        if path not in reported and (folder := sockets.held(path)) is not None:
            reported[path] = folder
            device, inode = folder.identity
            _emit(SocketFolderMade(path=str(path), device=device, inode=inode))


def _reported_stuck(stall: Stall | None) -> bool:
    """Whether the appliance uses no CPU any more; if so, report that as the failure. An emulated
    processor occasionally gets stuck, mostly on a busy host."""
    if stall is None or not stall.waits(time.monotonic(), _usage()):
        return False
    message = f"the libguestfs appliance has been idle for {stall.limit:.0f} s"
    _emit(CustomisingFailed(kind=GuestStuck.__name__, message=message))
    return True


def _usage() -> Usage | None:
    """The CPU time used by the processes that libguestfs has started; None if there are none."""
    found = []
    for pid in _children():
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            found.append((int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"))
    return Usage(sum(found)) if found else None


def _end(thread: threading.Thread) -> None:
    """Terminate the appliance until the thread has noticed; after the grace period, kill it."""
    begin = time.monotonic()
    while thread.is_alive() and time.monotonic() - begin < _GRACE:
        for pid in _children():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        thread.join(_LOOK)
    for pid in _children():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    thread.join(1.0)


def _children() -> list[int]:
    """The processes that libguestfs has started: QEMU, or the program that builds the appliance."""
    found: list[int] = []
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):
            found += map(int, (task / "children").read_text().split())
    return found


if __name__ == "__main__":
    sys.exit(main())
