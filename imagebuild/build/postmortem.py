"""The logs that a build stores with its artifact, and the evidence after a failure."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from imagebuild.errors import CommandFailed, ImageBuildError
from imagebuild.log import redact
from imagebuild.printable import transcript

LOGS = ("build.log", "console.log", "installer.log")
_KICKSTART = "ks.cfg"


def copy_logs(source: Path, target: Path) -> None:
    """Copy the logs in ``source``, without secrets and safe to `cat`, readable by all who may read
    the folder.
    """
    for name in LOGS:
        with suppress(FileNotFoundError):
            text = (source / name).read_text(errors="replace")
            if text:
                (target / name).write_text(transcript(redact(text)))


def keep(folder: Path, work: Path, error: ImageBuildError) -> Path:
    """Fill ``folder`` with the evidence of the failed run in ``work``: logs, kickstart, domain XML,
    error. Returns it.

    A full disk does not hide the error itself: files that cannot be written are left out.
    """
    found = [work / _KICKSTART, *sorted((work / "logs").glob("*"))]
    for path in found:
        with suppress(OSError):
            if path.suffix == ".png":
                shutil.copyfile(path, folder / path.name)
            else:
                _write(folder / path.name, path.read_text(errors="replace"))
    with suppress(OSError):
        _write(folder / "error.txt", _text(error))
    return folder


def _write(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(transcript(redact(text)), errors="replace")


def _text(error: ImageBuildError) -> str:
    lines = [error.message]
    if error.hint:
        lines.append(f"hint: {error.hint}")
    cause = error if isinstance(error, CommandFailed) else error.__cause__
    if isinstance(cause, CommandFailed):
        lines += ["", f"command: {cause.command}", "output:", cause.output]
    return "\n".join(lines) + "\n"
