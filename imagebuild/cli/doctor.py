"""``imagebuild doctor``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from imagebuild.cli.options import json_option, opened, store_option
from imagebuild.cli.output import echo, echo_data
from imagebuild.doctor import examine
from imagebuild.errors import HostError

_MARKS = {"ok": "ok     ", "note": "note   ", "missing": "MISSING"}


@click.command()
@store_option
@json_option
def doctor(store: Path | None, as_json: bool) -> None:
    """Show what this host can do, what is missing, and how to fix it. Exit code 3 if a build cannot
    run.
    """
    missing = False
    for finding in examine(opened(store)):
        missing |= finding.level == "missing"
        if as_json:
            echo_data(asdict(finding))
            continue
        echo(f"{_MARKS[finding.level]}  {finding.what:<24} {finding.found}")
        if finding.mend:
            echo(f"{'':<33}  {finding.mend}")
    if missing:
        raise click.exceptions.Exit(HostError.exit_code)
