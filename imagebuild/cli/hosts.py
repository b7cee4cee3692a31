"""``imagebuild hosts``: what is in the project's file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from imagebuild.cli.host_records import GroupListed, HostListed, TargetListed
from imagebuild.cli.options import json_option
from imagebuild.cli.output import echo, echo_data, shown
from imagebuild.cli.project_options import config_option, destination_option
from imagebuild.errors import UsageError
from imagebuild.events import JsonLine, data
from imagebuild.project.groups import members
from imagebuild.project.load import load
from imagebuild.project.model import Host, Project
from imagebuild.project.select import Destination, select

_EMPTY = "give a URI such as qemu:///system with --to, or name the file with --config"


@click.command(
    epilog="""\b
Examples:
  imagebuild hosts
  imagebuild hosts --to canary,label=dc2 --json
  imagebuild hosts --to qemu+ssh://root@kvm1.example.org/system"""
)
@destination_option()
@config_option
@json_option
def hosts(to: tuple[str, ...], config: Path | None, as_json: bool) -> None:
    """Show the hosts, targets and groups of imagebuild.yaml. Connects to none of them.

    With --to, show what that selects. The file is checked; all its problems are reported with their
    lines.
    """
    project = load(config)
    if not to and not project.exists:
        raise UsageError(f"there is no {project.file} here", f"create it, {_EMPTY}")
    found = select(project, to) if to else [Destination(*one, project.folder) for one in project.entries.items()]
    rows = [*_places(project, found), *(() if to else _groups(project))]
    if as_json:
        for row in rows:
            echo_data(_data(row))
        return
    width = min(40, max((len(shown(row["name"])) for row in rows), default=0))
    for row in rows:
        echo(f"{shown(row['name']):<{width}}  {_described(row)}")
    if not rows:
        echo(f"{project.file} has no hosts and no targets yet: add them under hosts: or targets:", err=True)


def _data(row: dict[str, Any]) -> dict[str, Any]:
    """A row as JSON has it: without what is not set."""
    return {key: value for key, value in data(_LINES[row["kind"]](**row)).items() if value is not None}


_LINES: dict[str, type[JsonLine]] = {"host": HostListed, "target": TargetListed, "group": GroupListed}


def _places(project: Project, found: Sequence[Destination]) -> Iterator[dict[str, Any]]:
    for one in found:
        groups = [name for name in project.groups if one.name in members(name, project.groups)]
        kind = "host" if isinstance(one.entry, Host) else "target"
        keys = one.entry.model_dump(mode="json", exclude_none=True)
        yield {"name": one.name, "kind": kind, **keys, "groups": groups, **_written(project, f"{kind}s", one.name)}


def _groups(project: Project) -> Iterator[dict[str, Any]]:
    for name in project.groups:
        chosen = set(members(name, project.groups))
        places = [one for one in project.entries if one in chosen]
        yield {"name": name, "kind": "group", "members": places, **_written(project, "groups", name)}


def _written(project: Project, section: str, name: str) -> dict[str, Any]:
    """Where an entry is written; nothing for a place that is given directly."""
    if name not in getattr(project, section):
        return {}
    mark = project.place(section, name)
    return {"file": mark.file, "line": mark.key}


def _described(row: dict[str, Any]) -> str:
    if row["kind"] == "group":
        return f"group: {', '.join(row['members']) or 'empty'}"
    parts = [str(row.get("uri") or row["url"])]
    parts += [f"pool {row['pool']}"] if "pool" in row else []
    parts += [f"labels {', '.join(row['labels'])}"] if row["labels"] else []
    parts += [f"groups {', '.join(row['groups'])}"] if row["groups"] else []
    parts += ["insecure"] if row["insecure"] else []
    return "; ".join(parts)
