"""One attempt after another until one brings what is wanted: what is worth another, and what ends the wait."""

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
    """End every download that is under way; whoever waits for one gets an ImageBuildError."""
    with _lock:
        for transfer in _running:
            transfer.ended.set()


def persist(
    url: str, limits: Limits, once: Callable[[Transfer], None], hint: str, size: Callable[[], int] = lambda: 0
) -> None:
    """Try until it works, or too many attempts have brought nothing new.

    An attempt counts as progress if it got at least 1 MiB further than every one before it: a server that cuts and has no
    ranges is not asked for ever.
    """
    from imagebuild.fetch.transfer import Transfer  # late: who downloads nothing needs no libcurl

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
                    raise HostError(f"the download of {shown(url)} was ended", hint) from fault
                if failed >= limits.attempts or tried == limits.most:
                    raise HostError(f"{shown(url)} cannot be fetched: {fault.why}", hint) from fault
                logger.info("%s: %s; another attempt", shown(url), fault.why)
                transfer.ended.wait(max(limits.pause * 2 ** (failed - 1), min(fault.wait, 60.0)))
    finally:
        with _lock:
            _running.discard(transfer)
