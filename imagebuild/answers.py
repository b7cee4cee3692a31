"""Answers of programs that are slow to ask, kept for as long as what they depend on is the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from imagebuild.files import write_atomically

T = TypeVar("T")


def kept(file: Path, name: str, depends_on: Iterable[Path], ask: Callable[[], T]) -> T:
    """The answer ``name``, which JSON can hold, from ``file``; asked for if it is not there or one of the files is another now.

    A file is another by its times or its size. Where nothing can be kept it is asked for each time.
    """
    state = _state(depends_on)
    found: dict[str, Any] = {}
    with suppress(OSError, ValueError, KeyError, TypeError):
        found = dict(json.loads(file.read_text()))
        if found[name]["state"] == state:
            answer: T = found[name]["answer"]
            return answer
    answer = ask()
    with suppress(OSError):
        write_atomically(file, json.dumps({**found, name: {"state": state, "answer": answer}}, indent=1) + "\n")
    return answer


def _state(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(set(files)):
        with suppress(OSError):
            status = path.stat()
            digest.update(f"{path}\0{status.st_mtime_ns} {status.st_ctime_ns} {status.st_size}\n".encode())
    return digest.hexdigest()
