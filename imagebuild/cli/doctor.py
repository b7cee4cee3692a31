"""``imagebuild doctor``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from imagebuild.cli.options import json_option, opened, store_option
from imagebuild.cli.output import echo, echo_data, echo_lines
from imagebuild.doctor import HostAbility, HostFinding, abilities, examine
from imagebuild.errors import HostError
from imagebuild.events import data
from imagebuild.store.store import Store

_MARKS = {"ok": "ok     ", "note": "note   ", "missing": "MISSING"}


@click.command()
@store_option
@json_option
def doctor(store: Path | None, as_json: bool) -> None:
    """Show what this host can do, what is missing, and how to fix it. Exit code 3 if a build cannot
    run.
    """
    findings: list[HostFinding] = []
    for finding in examine(_store(store)):
        findings.append(finding)
        if as_json:
            echo_data(data(finding))
            continue
        echo(f"{_MARKS[finding.level]}  {finding.what:<24} {finding.found}")
        if finding.mend:
            echo(f"{'':<33}  {finding.mend}")
    able = list(abilities(findings))
    if as_json:
        for one in able:
            echo_data(data(one))
    else:
        echo_lines(_lines(able))
    if any(finding.level == "missing" for finding in findings):
        raise click.exceptions.Exit(HostError.exit_code)


def _store(given: Path | None) -> Store | HostError:
    try:
        return opened(given)
    except HostError as error:
        return error


def _lines(able: Sequence[HostAbility]) -> Iterator[str]:
    """What works and what does not, for people."""
    yield ""
    for one in able:
        commands = ", ".join(one.commands)
        if one.works:
            yield f"{'slow' if one.emulated else 'works':<7}  {one.what}: {commands}"
        else:
            yield f"{'FAILS':<7}  {one.what}: {commands}"
            yield f"{'':<7}      because of: {', '.join(one.missing)}"
    if any(one.emulated for one in able):
        yield "slow: machines run under emulation, because KVM does not work here"
