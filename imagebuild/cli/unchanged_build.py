"""An unchanged build in a fraction of the time: what `build` decided the last time, if nothing that the
decision came from has changed since.

To plan a build takes 0.4 s, most of it imports, to see in the end that the latest artifact is the one
that the plan would make. When a build has ended so, the decision is kept in the user's cache
(:mod:`imagebuild.cli.unchanged_record` writes it), one file for each command line. The next build with
the same command line reads it, compares everything that the decision came from, and reports the same.
This is what a plan looks at, and how it is compared:

* the words of the command line, the working folder, the user, the host and its kernel, all variables of
  the environment except those in ``_NO_INPUT``, and the interpreter with its options and its search path:
  they are the same;
* the recipe, the files that it extends, the templates, the files and folders that operations and
  checks name, the project's file, imagebuild's own code and data, the key of the store, the states of
  packages and the description of the root archive in it: the interpreter reports each file that is
  opened and each folder that is listed (:mod:`imagebuild.host.inputs`), and they have the same content;
* places where such a file would be used if there were one (another folder of recipes or templates, an
  entry of the store): there is the same as before (:mod:`imagebuild.host.looked_at`);
* the code of Python and of other projects, such as pykickstart, and all shared libraries: the same size,
  times and inode;
* the versions of mmdebstrap, libguestfs and QEMU, and apt's mirror: the probe cache has the same
  answer, and the state of the programs or of apt's configuration that it belongs to is the same;
* the artifact: it is ``latest``, its manifest has the same content, which includes its fingerprint and the
  verdict of its checks, and its images have the sizes in that.

What cannot be compared is not kept: a build with ``--refresh``, ``--if-changed``, ``--max-age``, ``--trace``,
``--verbose`` or a remote store, a recipe with passwords or passphrases by reference, an installer that asks
servers, several images, an artifact that is not verified yet, a plan during which a program ran, and a
file that changed meanwhile. If another build holds the lock, or has died, or if anything fails before the
first line is printed, the build goes the long way, which also reports the error.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import platformdirs

from imagebuild.fingerprint import PACKAGE
from imagebuild.host import looked_at, private_files
from imagebuild.host.inputs import Inputs, OpenedFiles

_LONGEST = 1 << 24
"""Bytes of a record that are read."""
_NO_INPUT = frozenset({
    "_", "SHLVL", "PWD", "OLDPWD", "WINDOWID", "SSH_CLIENT", "SSH_CONNECTION", "SSH_TTY", "INVOCATION_ID",
    "JOURNAL_STREAM", "XDG_SESSION_ID",
})  # fmt: skip
"""Variables that differ from one shell or login to the next, and that nothing here reads."""
_OTHERWISE = frozenset({"--refresh", "--if-changed", "--verbose", "-v", "--trace", "--help", "-h"})
"""Options with which nothing is watched in vain; in another spelling, they are seen when a decision is kept."""
_COMMAND = "build"
_MOST = 200
"""Command lines whose decisions are kept."""


@dataclass(frozen=True)
class Decision:
    """What a build decided, and all that it needs to report that again. ``images`` are file and size, ``steps``
    name, kind and fingerprint; ``update`` and ``summary`` is what the step "plan" reported.
    """

    recipe: str
    version: str
    store: str
    lock: str
    folder: str
    image: str
    manifest: str
    manifest_sha256: str
    images: list[tuple[str, int]]
    fingerprint: str
    steps: list[tuple[str, str, str]]
    size: int
    virtual_size: int
    virt_type: str
    arch: str
    probes: dict[str, tuple[str, Any]]
    update: str
    summary: str
    notes: list[str]
    as_json: bool
    quiet: bool
    progress: Literal["auto", "rich", "plain", "none"]
    sections: Literal["auto", "gitlab", "github", "none"]


@dataclass(frozen=True)
class Watched:
    """What a build is kept under, and what it has looked at so far."""

    file: Path
    where: dict[str, Any]
    opened: OpenedFiles
    seen: looked_at.LookedAt


_watched: list[Watched] = []
"""The build that is watched: at most one in a process."""


def watched() -> Watched | None:
    """The build of this process, if its decision can be kept."""
    return _watched[0] if _watched else None


def reported(kept: Path | None = None) -> bool:
    """Report an unchanged build as `build` would; False if that has to be found out. ``kept`` is the folder
    of what is remembered (default: below the user's cache).
    """
    decision = _decision(*_place(kept))
    if decision is None:
        return False
    from imagebuild.cli import unchanged_report  # late: mostly, there is no such decision

    return unchanged_report.reported(decision)


@contextmanager
def watching(kept: Path | None = None) -> Iterator[None]:
    """Watch what a build in the block looks at, so that its decision can be kept."""
    opened = OpenedFiles()
    try:
        with looked_at.noting() as seen:
            _watched.append(Watched(*_place(kept), opened, seen))
            yield
    finally:
        opened.stop()
        _watched.clear()


def is_plain(words: list[str]) -> bool:
    """Whether a command line is a build whose decision may be kept."""
    return words[:1] == [_COMMAND] and _OTHERWISE.isdisjoint(words) and "HOME" in os.environ and _has_folder()


def _has_folder() -> bool:
    try:
        return bool(os.getcwd())  # noqa: PTH109 - as below
    except OSError:
        return False  # it has been removed


def _place(kept: Path | None) -> tuple[Path, dict[str, Any]]:
    """The file of the decision for this command line, and what must be the same."""
    named = [sys.argv[1:], os.getcwd(), os.geteuid()]  # noqa: PTH109 - a text is needed
    name = _digest(named)[:32]
    variables = sorted(one for one in os.environ.items() if one[0] not in _NO_INPUT)
    where = {
        "named": _digest(named),
        "host": list(os.uname()),
        "environment": _digest(variables),
        "interpreter": _digest([sys.version, sys.executable, sys.prefix, sys.path, list(sys.flags), sys.argv[:1]]),
        "package": str(PACKAGE),
    }
    return (kept or platformdirs.user_cache_path("imagebuild-unchanged")) / f"{name}.json", where


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def write(watched: Watched, inputs: Inputs, decision: Decision) -> None:
    """Keep a decision for the next build with this command line."""
    body = json.dumps({**watched.where, "inputs": vars(inputs), "decision": vars(decision)})
    private_files.write(watched.file, json.dumps({"sha256": _digest(body), "body": body}).encode())
    with suppress(OSError):
        _remove_oldest(watched.file.parent)


def _remove_oldest(folder: Path) -> None:
    """Keep the decisions of the last command lines: some are never used again."""
    by_age = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in by_age[_MOST:]:
        path.unlink(missing_ok=True)


def _decision(file: Path, where: dict[str, Any]) -> Decision | None:
    """What was decided for this command line, if all that it came from is the same."""
    try:
        record = json.loads(private_files.read(file, _LONGEST) or b"{}")
        if record["sha256"] != _digest(record["body"]):
            return None
        body = json.loads(record["body"])
        same = all(body[key] == value for key, value in where.items())
        return Decision(**body["decision"]) if same and Inputs(**body["inputs"]).is_current() else None
    except (ValueError, TypeError, KeyError, AttributeError, OSError):
        return None
