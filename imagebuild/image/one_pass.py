"""One pass over a disk for any number of images: chunks are compressed by several threads, and added
in the order of the disk, so that the bytes of an image do not depend on the number of threads.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from imagebuild.image.formats import Writer, is_zero
from imagebuild.progress import Progress

_AHEAD = 3
"""Chunks in progress for each thread: enough that no thread waits while another's chunk is written.
"""

_Parts = Sequence[Sequence[bytes]]
"""A chunk's parts for each of the images; empty if the chunk is zero."""


def write(
    chunks: Iterable[tuple[int, Callable[[], bytes]]],
    size: int,
    writers: Sequence[Writer],
    progress: Progress,
    threads: int | None = None,
) -> None:
    """Pass every chunk that is not zero to all writers.

    ``chunks`` are offsets in ascending order, each with what reads the chunk, in any thread; chunks
    that are missing are zero. ``size`` is the disk's, in bytes. ``threads`` defaults to the number
    of processors that this process may use.
    """
    threads = threads or len(os.sched_getaffinity(0))
    pool = ThreadPoolExecutor(threads)
    under_way: deque[tuple[int, Future[_Parts]]] = deque()

    def take() -> None:
        offset, future = under_way.popleft()
        for writer, parts in zip(writers, future.result(), strict=False):
            writer.add(offset, parts)
        progress.update("compressing", offset / size)

    try:
        for offset, read in chunks:
            under_way.append((offset, pool.submit(_encoded, read, writers)))
            if len(under_way) >= threads * _AHEAD:
                take()
        while under_way:
            take()
    finally:
        pool.shutdown(cancel_futures=True)
    progress.update("compressing", 1.0)


def _encoded(read: Callable[[], bytes], writers: Sequence[Writer]) -> _Parts:
    data = read()
    return [] if is_zero(data) else [writer.encode(data) for writer in writers]
