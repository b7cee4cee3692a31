"""Commands of the user that run at the end, with the result as JSON on standard input."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from imagebuild.errors import CommandFailed, HostError
from imagebuild.host import process
from imagebuild.nightly.outcome import NightlyEnded, NightlyStage
from imagebuild.nightly.report_files import result_text
from imagebuild.progress import Reporter
from imagebuild.project.nightly import NightlyHooks


def due(hooks: NightlyHooks, ended: NightlyEnded) -> Iterator[tuple[str, str]]:
    """The names and commands of the hooks that run after this result, in their order."""
    for name, happened in (
        ("success", ended.exit_code == 0),
        ("failure", ended.exit_code != 0),
        ("changed", bool(ended.changed)),
        ("always", True),
    ):
        command = getattr(hooks, name)
        if command is not None and happened:
            yield name, command


def run(hooks: NightlyHooks, ended: NightlyEnded, folder: Path, reporter: Reporter) -> list[NightlyStage]:
    """Run the hooks that are due, in ``folder``; a failing one stops no other one, and is a failed stage."""
    return [_one(name, command, hooks.timeout, ended, folder, reporter) for name, command in due(hooks, ended)]


def _one(
    name: str, command: str, timeout: float, ended: NightlyEnded, folder: Path, reporter: Reporter
) -> NightlyStage:
    began = time.monotonic()
    variables = {"IMAGEBUILD_OUTCOME": ended.outcome, "IMAGEBUILD_HOOK": name}
    stage = f"hook {name}"
    try:
        with reporter.step("nightly", stage):
            process.run(["sh", "-c", command], timeout=timeout, env=variables, cwd=folder, input=result_text(ended))
    except (CommandFailed, HostError) as error:
        message = f"the hook {error.message.removeprefix('sh ')}"
        hint = "--verbose shows the command's output"
        seconds = round(time.monotonic() - began, 1)
        return NightlyStage(stage=stage, status="failed", message=message, hint=hint, seconds=seconds, exit_code=1)
    return NightlyStage(stage=stage, status="passed", seconds=round(time.monotonic() - began, 1))
