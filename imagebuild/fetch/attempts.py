"""One attempt after another until one brings what is wanted: what is worth another, and what ends the wait."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from imagebuild.errors import HostError
from imagebuild.fetch.limits import Limits, Passing, shown
from imagebuild.log import logger

if TYPE_CHECKING:
    from imagebuild.fetch.transfer import Transfer

T = TypeVar("T")
_MIB = 1 << 20
_running: set[Transfer] = set()
_lock = threading.Lock()


def stop_all() -> None:
    """End every download that is under way; whoever waits for one gets an ImageBuildError."""
    with _lock:
        running = list(_running)
    for transfer in running:
        transfer.stop()


def persist(
    url: str, limits: Limits, once: Callable[[Transfer], T], hint: str, size: Callable[[], int] = lambda: 0
) -> T:
    """Try until it works, or too many attempts have brought nothing."""
    # late: who downloads nothing needs none of it, though pykickstart, where it is read, brings requests along all the same
    from imagebuild.fetch.transfer import Transfer

    transfer = Transfer(limits)
    with _lock:
        _running.add(transfer)
    failed = 0
    try:
        while True:
            before = size()
            try:
                return once(transfer)
            except Passing as fault:
                failed = 1 if size() - before >= _MIB else failed + 1
                if transfer.ended.is_set():
                    raise HostError(f"the download of {shown(url)} was ended", hint) from fault
                if failed >= limits.attempts:
                    raise HostError(f"{shown(url)} cannot be fetched: {fault.why}", hint) from fault
                logger.info("%s: %s; another attempt", shown(url), fault.why)
                transfer.ended.wait(max(limits.pause * 2 ** (failed - 1), min(fault.wait, 60.0)))
    finally:
        with _lock:
            _running.discard(transfer)
