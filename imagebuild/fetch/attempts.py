"""Repeats a download until it succeeds: which faults are retried, and when to give up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from imagebuild.errors import HostError
from imagebuild.fetch.limits import MIB, Limits, Passing, shown
from imagebuild.log import logger

if TYPE_CHECKING:
    from imagebuild.fetch.transfer import Transfer

_running: set[Transfer] = set()
_lock = threading.Lock()


def stop_all() -> None:
    """End all running downloads; their callers get an ImageBuildError."""
    with _lock:
        for transfer in _running:
            transfer.ended.set()


def persist(
    url: str, limits: Limits, once: Callable[[Transfer], None], hint: str, size: Callable[[], int] = lambda: 0
) -> None:
    """Try until it works, or too many attempts have made no progress.

    An attempt counts as progress if it got at least 1 MiB further than all earlier ones: so a
    server that cuts the connection and does not support ranges is not retried forever.
    """
    from imagebuild.fetch.transfer import Transfer  # imported late: libcurl is needed only for downloads

    transfer = Transfer(limits)
    with _lock:
        _running.add(transfer)
    failed, furthest = 0, size()
    try:
        for tried in range(1, limits.most + 1):
            try:
                return once(transfer)
            except Passing as fault:
                failed = 1 if size() - furthest >= MIB else failed + 1
                furthest = max(furthest, size())
                if transfer.ended.is_set():
                    raise HostError(f"the download of {shown(url)} was cancelled", hint) from fault
                if failed >= limits.attempts or tried == limits.most:
                    raise HostError(f"cannot fetch {shown(url)}: {fault.why}", hint) from fault
                logger.info("%s: %s; trying again", shown(url), fault.why)
                transfer.ended.wait(max(limits.pause * 2 ** (failed - 1), min(fault.wait, 60.0)))
    finally:
        with _lock:
            _running.discard(transfer)
