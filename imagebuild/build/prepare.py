"""Prepares what an installation needs, in parallel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Any, TypeVar

from imagebuild import fetch
from imagebuild.host import accelerator
from imagebuild.host.process import stop_all
from imagebuild.step import Entries, Preparation, Prepared, Start

T = TypeVar("T")


@contextmanager
def side_by_side(threads: int) -> Iterator[Start]:
    """Start functions in parallel; the end of the block waits for all of them.

    If one fails, or the wait is interrupted, the programs and downloads of the others are ended.
    """
    futures: list[Future[Any]] = []
    with ThreadPoolExecutor(threads) as pool:

        def start(function: Callable[[], T]) -> Future[T]:
            futures.append(pool.submit(function))
            return futures[-1]

        try:
            yield start
            for future in as_completed(futures):
                future.result()
        except BaseException:
            stop_all()
            fetch.stop_all()
            raise


def prepare(
    preparation: Preparation, entries: Entries, verdict: Callable[[], accelerator.Verdict]
) -> tuple[Prepared, accelerator.Verdict]:
    """Make, or find, what the installation needs. ``verdict`` verifies the accelerator, in
    parallel.
    """
    with side_by_side(3) as start:
        prepared = preparation.make(entries, start)
        proof = start(verdict)
    return prepared(), proof.result()
