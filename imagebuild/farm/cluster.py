"""A client of the scheduler: the only module that submits tasks to dask.

What arrives from the network comes in threads of dask, and leaves here through one queue.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from distributed import Client, Future, KilledWorker

from imagebuild.errors import HostError
from imagebuild.farm import site
from imagebuild.farm.offer import METRIC, resources
from imagebuild.farm.request import FUNCTION_KEY, BuildReply, BuildRequest, reply_of
from imagebuild.farm.scheduling import DASHBOARD
from imagebuild.farm.security import require_reachable
from imagebuild.farm.settings import FarmPlace
from imagebuild.log import logger
from imagebuild.printable import one_line

_PATIENCE = 30
_SILENCE = 60.0
"""Seconds in which the scheduler may fail to answer."""


@dataclass(frozen=True)
class TaskEnded:
    """A task has ended: with a reply; or without one because its worker died (``lost``), because the
    connection was lost, or because the worker could not even begin (``message``).
    """

    build: int
    reply: BuildReply | None
    lost: bool = False
    message: str = ""


@dataclass(frozen=True)
class EventLine:
    """A line that a build reports; ``fence`` is the number of its claim."""

    build: int
    fence: int
    line: str


FarmMessage = TaskEnded | EventLine


class FarmCluster:
    """A connection to a scheduler. Keys of tasks are unique in each run: dask returns the old result
    for a key that it knows.
    """

    def __init__(self, client: Client, run: str) -> None:
        self._client = client
        self.topic = f"{FUNCTION_KEY}-{run}"
        self._run = run
        self._count = 0
        self._futures: dict[int, Future[Any]] = {}
        self._messages: queue.Queue[FarmMessage] = queue.Queue()
        self._told: set[str] = set()
        self._silent_since: float | None = None
        self._lock = threading.Lock()
        client.subscribe_topic(self.topic, self._heard)

    @property
    def dashboard(self) -> str:
        """The address of dask's web page; empty if the scheduler serves none."""
        found = self._client.get_metadata([DASHBOARD], default="")
        return found if isinstance(found, str) else ""

    def offers(self) -> dict[str, Any] | None:
        """The address of each worker, with what it says about itself; None while the scheduler does not
        answer. Raises HostError after a minute, or when dask has given up.

        Not by ``scheduler_info()``: that answers with what it remembers, without workers, if the
        scheduler does not (distributed 2026.8).
        """
        now = time.monotonic()
        try:
            if self._client.status == "running":
                scheduler: Any = self._client.scheduler
                found = self._client.sync(scheduler.identity, n_workers=-1, callback_timeout=_PATIENCE)
                self._silent_since = None
                return {address: info["metrics"].get(METRIC) for address, info in found["workers"].items()}
            reason = "the connection was lost"
        except (OSError, TimeoutError, RuntimeError) as error:
            reason = one_line(str(error)) or type(error).__name__
        self._silent_since = now if self._silent_since is None else self._silent_since
        if self._client.status in ("running", "connecting") and now - self._silent_since < _SILENCE:
            return None
        raise HostError(
            f"the scheduler cannot be reached any more: {reason}",
            "start it again, then run the same command: it goes on with what is missing",
        )

    def tell_refused(self, address: str, reason: str) -> None:
        """Say to a worker, once, why it gets no work. One of another kind may not understand."""
        if address in self._told:
            return
        self._told.add(address)
        message = {"op": "imagebuild_refused", "reason": reason}
        with suppress(Exception):  # whatever a foreign worker answers
            scheduler: Any = self._client.scheduler
            self._client.sync(scheduler.broadcast, msg=message, workers=[address], on_error="ignore")

    def submit(self, request: BuildRequest, address: str) -> None:
        """Run a build on the worker at ``address``."""
        self._count += 1
        future = self._client.submit(
            site.build,
            request.as_data(),
            key=f"{FUNCTION_KEY}-{request.image}-{self._run}-{self._count}",
            workers=[address],
            allow_other_workers=False,
            resources=resources(request.room, 1),
            pure=False,
            retries=0,
        )
        with self._lock:
            self._futures[request.build] = future
        future.add_done_callback(lambda done: self._done(request.build, done))

    def abandon(self, build: int) -> None:
        """Forget a task whose worker is gone."""
        with self._lock:
            future = self._futures.pop(build, None)
        if future is not None:
            with suppress(Exception):
                future.release()

    def messages(self, seconds: float) -> Iterator[FarmMessage]:
        """What has arrived; waits for the first message at most so many seconds."""
        with suppress(queue.Empty):
            yield self._messages.get(timeout=seconds)
            while True:
                yield self._messages.get_nowait()

    def _done(self, build: int, future: Future[Any]) -> None:
        with self._lock:
            if self._futures.get(build) is not future:
                return  # abandoned
            del self._futures[build]
        try:
            ended = TaskEnded(build, reply_of(future.result(timeout=_PATIENCE)))
        except KilledWorker:
            ended = TaskEnded(build, None, lost=True)
        except (CancelledError, asyncio.CancelledError):
            ended = TaskEnded(build, None)
        except Exception as error:  # noqa: BLE001 - a task raises whatever its worker sends
            ended = TaskEnded(build, None, message=one_line(str(error))[:500] or type(error).__name__)
        self._messages.put(ended)

    def _heard(self, event: Any) -> None:
        _, message = event
        if isinstance(message, Mapping):
            build, fence, line = message.get("build"), message.get("fence"), message.get("line")
            if isinstance(build, int) and isinstance(fence, int) and isinstance(line, str):
                self._messages.put(EventLine(build, fence, line))


@contextmanager
def connected(place: FarmPlace, run: str) -> Iterator[FarmCluster]:
    """A connection to the scheduler. Raises HostError."""
    require_reachable(place.address, place.keys)
    try:
        client = Client(
            place.address,
            security=place.keys.security() if place.keys else None,
            timeout=_PATIENCE,
            set_as_default=False,
            name="imagebuild",
        )
    except Exception as error:  # dask raises what it gets
        raise HostError(
            f"the scheduler {place.address} cannot be used: {one_line(str(error))}", "is it a scheduler of dask?"
        ) from error
    try:
        yield FarmCluster(client, run)
    finally:
        try:
            client.close(timeout=_PATIENCE)
        except Exception as error:  # noqa: BLE001 - the work is done, or its error is already known
            logger.debug("closing the connection to the scheduler: %s", error)
