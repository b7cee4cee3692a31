"""What a build leaves to read: logs beside an artifact, and after a failure all that tells what happened."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from imagebuild.errors import CommandFailed, ImageBuildError
from imagebuild.log import redact

LOGS = ("build.log", "console.log", "installer.log")
_KICKSTART = "ks.cfg"


def copy_logs(source: Path, target: Path) -> None:
    """Copy the logs that are in ``source``, secrets taken out, readable by those who may read the folder."""
    for name in LOGS:
        with suppress(FileNotFoundError):
            text = (source / name).read_text(errors="replace")
            if text:
                (target / name).write_text(redact(text))


def keep(folder: Path, work: Path, error: ImageBuildError) -> Path:
    """Fill ``folder`` with what the failed run in ``work`` left, and return it: logs, kickstart, domain XML, the error.

    A full disk does not hide the error itself: what cannot be kept is left out.
    """
    with suppress(OSError):
        shutil.copytree(work / "logs", folder, dirs_exist_ok=True)
    copies = [(work / _KICKSTART, folder / "kickstart.cfg"), *((folder / name, folder / name) for name in LOGS)]
    for source, target in copies:
        with suppress(OSError):
            target.write_text(redact(source.read_text(errors="replace")))
    with suppress(OSError):
        (folder / "error.txt").write_text(redact(_told(error)))
    return folder


def _told(error: ImageBuildError) -> str:
    lines = [error.message]
    if error.hint:
        lines.append(f"hint: {error.hint}")
    cause = error if isinstance(error, CommandFailed) else error.__cause__
    if isinstance(cause, CommandFailed):
        lines += ["", f"command: {cause.command}", "output:", cause.output]
    return "\n".join(lines) + "\n"
