"""The JSON Schema of ``imagebuild.yaml``, for editors, and the table of its keys in docs/hosts.md."""

from __future__ import annotations

import json
from typing import Any

import imagebuild
from imagebuild.project.model import Project
from imagebuild.schema.json_schema import schema_of
from imagebuild.schema.key_table import Row, key_rows, markdown

_OWN_PAGES = ("nightly", "store")


def schema() -> dict[str, Any]:
    """The JSON Schema, generated from the model; ``imagebuild hosts`` also checks what it cannot
    express.
    """
    title = f"Project file of imagebuild {imagebuild.__version__}"
    return {**schema_of(Project), "title": title, "description": "Hosts and other places to publish to."}


def text() -> str:
    """The schema as JSON text."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def table(section: str = "") -> str:
    """Every key with its type, default and meaning, as a Markdown table: those of one section, or of all
    that have no page of their own; required keys come first.
    """
    wanted = [row for row in key_rows(Project) if (_section(row) in _OWN_PAGES) == bool(section)]
    rows = [row for row in wanted if not section or _section(row) == section]
    parent = {row[0]: row[0].rpartition(".")[0] or row[0] for row in rows}
    order = list(dict.fromkeys(parent.values()))
    return markdown(sorted(rows, key=lambda row: (order.index(parent[row[0]]), row[2] != "required")))


def _section(row: Row) -> str:
    return row[0].partition(".")[0]
