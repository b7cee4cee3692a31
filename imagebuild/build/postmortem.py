"""What a build leaves to read: logs beside an artifact, and after a failure all that tells what happened."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from imagebuild.errors import CommandFailed, ImageBuildError
from imagebuild.log import redact
from imagebuild.printable import transcript

LOGS = ("build.log", "console.log", "installer.log")
_KICKSTART = "ks.cfg"


def copy_logs(source: Path, target: Path) -> None:
    """Copy the logs that are in ``source``, secrets taken out and safe to `cat`, readable by those who may read the folder."""
    for name in LOGS:
        with suppress(FileNotFoundError):
            text = (source / name).read_text(errors="replace")
            if text:
                (target / name).write_text(transcript(redact(text)))


def keep(folder: Path, work: Path, error: ImageBuildError) -> Path:
    """Fill ``folder`` with what the failed run in ``work`` left, and return it: logs, kickstart, domain XML, the error.

    A full disk does not hide the error itself: what cannot be kept is left out.
    """
    found = [work / _KICKSTART, *sorted((work / "logs").glob("*"))]
    for path in found:
        with suppress(OSError):
            _write(folder / path.name, path.read_text(errors="replace"))
    with suppress(OSError):
        _write(folder / "error.txt", _told(error))
    return folder


def _write(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(transcript(redact(text)), errors="replace")


def _told(error: ImageBuildError) -> str:
    lines = [error.message]
    if error.hint:
        lines.append(f"hint: {error.hint}")
    cause = error if isinstance(error, CommandFailed) else error.__cause__
    if isinstance(cause, CommandFailed):
        lines += ["", f"command: {cause.command}", "output:", cause.output]
    return "\n".join(lines) + "\n"
