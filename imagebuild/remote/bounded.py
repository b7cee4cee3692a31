"""Work on a place that may never answer, in a bounded time.

A file system of the network that is away blocks whoever uses it, for as long as it is away. So the work
is done in threads that are given up when the time is over; they do not keep the process from ending.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from imagebuild.errors import HostError

T = TypeVar("T")


class Deadline:
    """The moment until which something may take; ``seconds`` from now."""

    def __init__(self, seconds: float, what: str) -> None:
        self._end, self._seconds, self._what = time.monotonic() + seconds, seconds, what

    @property
    def left(self) -> float:
        """The seconds until then."""
        return self._end - time.monotonic()

    def check(self) -> None:
        """Raise HostError if the time is over."""
        if self.left <= 0:
            raise self.missed()

    def missed(self) -> HostError:
        """The error for what took too long."""
        return HostError(
            f"{self._what} did not do its work within {self._seconds:.0f} s",
            "look at the network and the server; what was transferred is used again",
        )


def within(deadline: Deadline, work: Callable[[], T]) -> T:
    """The result of ``work``. Raises what it raises, and HostError if it takes too long."""
    found: list[T] = []
    each(deadline, 1, [work], lambda function: found.append(function()))
    return found[0]


def each(deadline: Deadline, threads: int, items: Iterable[T], work: Callable[[T], None]) -> None:
    """Call ``work`` with each of the items in several threads; they are taken one by one, so that an
    iterator may make them as they are needed.

    The first error ends all. Raises it, and HostError if everything takes too long.
    """
    crew = _Crew(deadline, iter(items), work)
    running = [threading.Thread(target=crew.run, daemon=True, name="remote-store") for _ in range(threads)]
    for thread in running:
        thread.start()
    try:
        for thread in running:
            thread.join(max(0.0, deadline.left))
            if thread.is_alive() and crew.error is None:
                raise deadline.missed()
    finally:
        crew.ended = True
    if crew.error is not None:
        raise crew.error


class _Crew:
    def __init__(self, deadline: Deadline, items: Iterator[T], work: Callable[[T], None]) -> None:
        self._deadline, self._items, self._work = deadline, items, work
        self._turn = threading.Lock()
        self.error: BaseException | None = None
        self.ended = False

    def run(self) -> None:
        """What each of the threads does."""
        try:
            while not self.ended and self.error is None:
                self._deadline.check()
                with self._turn:
                    item = next(self._items)
                self._work(item)
        except StopIteration:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again where the threads were started
            self.error = self.error or error
