"""Runs %pre and %post like Anaconda."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from .command import failure
from .errors import InstallError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .command import CommandRunner, Result
    from .plan import Script


def run_all(scripts: Sequence[Script], commands: CommandRunner, *, root: Path | None, section: str) -> None:
    """Run the scripts in order.

    A script in the chroot runs in ``root``; others run in the runtime, where the target is at
    /mnt/sysimage. The failure of a script is logged; with --erroronfail it ends the installation,
    and no later script runs.
    """
    for script in scripts:
        inside = root if root is not None and script.chroot and section == "%post" else None
        result = _run(script, commands, inside)
        if result.status == 0:
            continue
        where = f"{section} at line {script.line}" + (f" of {script.file}" if script.file else "")
        sentence = failure(where, result)
        if script.error_on_fail:
            raise InstallError(sentence)
        commands.log(f"{sentence} (continuing without --erroronfail)")


def _run(script: Script, commands: CommandRunner, root: Path | None) -> Result:
    """Run a script from a file in /tmp; its output goes to its --log, or to a temporary file."""
    base = root or Path("/")
    name = f"ks-script-{os.urandom(4).hex()}"
    path = base / "tmp" / name
    path.parent.mkdir(exist_ok=True)
    path.touch(mode=0o700)
    path.write_text(script.body, encoding="utf-8")
    log = base / script.log.lstrip("/") if script.log else path.with_suffix(".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    log.touch(mode=0o600)
    inner = commands.inside(root) if root else commands
    try:
        return inner.run([script.interpreter, f"/tmp/{name}"], check=False, into=log)  # noqa: S108 - a new random name
    finally:
        path.unlink(missing_ok=True)
        if not script.log:
            log.unlink(missing_ok=True)
