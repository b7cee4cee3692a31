"""Answers that are slow to get, kept for as long as what they depend on is the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from imagebuild.files import write_atomically


def kept(file: Path, name: str, state: str, ask: Callable[[], Any]) -> Any:
    """The answer ``name`` from ``file``; asked for if it is not there or was given in another ``state``.

    JSON must be able to hold it, and it is not None. Where nothing can be kept it is asked for each time.
    """
    answer = known(file, name, state)
    if answer is None:
        answer = ask()
        with suppress(OSError):
            every = {**_every(file), name: {"state": state, "answer": answer}}
            write_atomically(file, json.dumps(every, indent=1) + "\n")
    return answer


def known(file: Path, name: str, state: str) -> Any:
    """The same, but None where it would have to be asked for."""
    with suppress(KeyError, TypeError):
        found = _every(file)[name]
        return found["answer"] if found["state"] == state else None
    return None


def of_files(files: Iterable[Path]) -> str:
    """A state that is another one when one of the files is: by its times or its size."""
    digest = hashlib.sha256()
    for path in sorted(set(files)):
        with suppress(OSError):
            status = path.stat()
            digest.update(f"{path}\0{status.st_mtime_ns} {status.st_ctime_ns} {status.st_size}\n".encode())
    return digest.hexdigest()


def _every(file: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError, TypeError):
        return dict(json.loads(file.read_text()))
    return {}
