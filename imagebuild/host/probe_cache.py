"""Caches the results of slow probes until something that they depend on changes."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from imagebuild.files import write_atomically
from imagebuild.host.looked_at import note_probe
from imagebuild.host.process import environment

Answer = TypeVar("Answer")
_answers: list[dict[tuple[object, ...], Any]] = []
"""The answers of ``once``, one mapping for each ``unchanging`` that is not left yet."""


@contextmanager
def unchanging() -> Iterator[None]:
    """Inside the block the host counts as unchanging, so that ``once`` asks each question once: a plan of many
    recipes would otherwise look at apt's configuration and at the programs for each of them.
    """
    _answers.append({})
    try:
        yield
    finally:
        _answers.pop()


def once(question: tuple[object, ...], ask: Callable[[], Answer]) -> Answer:
    """``ask()``; inside ``unchanging`` the first answer to ``question`` is given again."""
    if not _answers:
        return ask()
    answers: dict[tuple[object, ...], Answer] = _answers[-1]
    if question not in answers:
        answers[question] = ask()
    return answers[question]


def kept(file: Path, name: str, state: str, ask: Callable[[], Any]) -> Any:
    """The cached answer ``name`` from ``file``; calls ``ask`` if there is none or it belongs to
    another ``state``.

    The answer must be representable in JSON and not None. If the cache cannot be written, ``ask``
    is called each time.
    """
    answer = known(file, name, state)
    if answer is None:
        answer = ask()
        with suppress(OSError):
            every = {**_every(file), name: {"state": state, "answer": answer}}
            write_atomically(file, json.dumps(every, indent=1) + "\n")
    note_probe(name, state, answer)
    return answer


def known(file: Path, name: str, state: str) -> Any:
    """Like ``kept``, but None if there is no valid cached answer."""
    with suppress(KeyError, TypeError):
        found = _every(file)[name]
        return found["answer"] if found["state"] == state else None
    return None


def of_files(files: Iterable[Path]) -> str:
    """A state that changes when one of the files changes, by its times or its size."""
    digest = hashlib.sha256()
    for path in sorted(set(files)):
        with suppress(OSError):
            status = path.stat()
            digest.update(f"{path}\0{status.st_mtime_ns} {status.st_ctime_ns} {status.st_size}\n".encode())
    return digest.hexdigest()


def of_programs(*names: str) -> str:
    """A state that changes with the programs of these names that a build would run."""
    path = environment()["PATH"]
    found = (shutil.which(name, path=path) for name in names)
    return of_files([Path(name).resolve() for name in found if name])


def _every(file: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError, TypeError):
        return dict(json.loads(file.read_text()))
    return {}
