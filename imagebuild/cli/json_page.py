"""docs/json.md, generated from the classes that print the lines and their schemas."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from imagebuild.cli.json_output import OUTPUTS, Kinds, kinds_of, schema
from imagebuild.events import JsonLine

_INTRODUCTION = """\
# What `--json` prints

A command with `--json` prints one JSON object per line on standard output, in ASCII, and nothing else there. Each
object has `event`, the kind of the line, and `schema`, the number of the kind's format: a script may rely on the
fields below as long as the number is the same. A new field does not change it, so ignore what you do not know; what
changes it is noted in [NEWS.md](../NEWS.md). Exit codes are the same as without `--json`.

    imagebuild schema --output build     the JSON Schema of each line of `build --json`
    imagebuild build web --json | jq -r 'select(.event == "artifact").image'
    imagebuild doctor --json | jq -r 'select(.event == "ability" and (.works | not)).what'

A command that fails prints an [`error`](#error) as its last line, whatever the error is: wrong options, a wrong
recipe, a build that failed. Secrets are replaced in all output. Paths are as this host has them; `hosts` prints where
a secret is read from, never the secret.

`inspect`, `diff`, `sbom`, `doctor`, `gc`, `init`, `list`, `plan`, `history`, `hosts`, `operations` and `checks` print
results only. The others print `step` lines while they work, and end with one line that has the result.

Formats that are not imagebuild's own have their own options: `lint --sarif` prints SARIF 2.1.0, and `verify --report`
writes JUnit XML beside `verify.json`, whose schema is that of `imagebuild schema --of verify`.

This page is generated from the program.
"""


def text() -> str:
    """The whole page."""
    return "\n".join([_INTRODUCTION, *_commands(), *_kinds(), *_types()]) + "\n"


def _commands() -> Iterator[str]:
    yield "## Commands\n"
    yield "| command | lines |"
    yield "|---|---|"
    for command in OUTPUTS:
        titles = {_event(kind): _title(kind) for kind in reversed(OUTPUTS[command])}
        links = (f"[`{name}`](#{_anchor(title)})" for name, title in reversed(titles.items()))
        yield f"| `{command}` | {', '.join(links)} |"
    yield ""


def _all_kinds() -> Kinds:
    return tuple(dict.fromkeys(kind for command in OUTPUTS for kind in kinds_of(command)))


def _definitions() -> dict[str, Any]:
    return {name: node for command in OUTPUTS for name, node in schema(command)["$defs"].items()}


def _event(kind: type[JsonLine]) -> str:
    return str(kind.__dataclass_fields__["event"].default)


def _title(kind: type[JsonLine]) -> str:
    """The kind's event, for a step with its state."""
    fields = kind.__dataclass_fields__
    return f"{_event(kind)} {fields['state'].default}" if "state" in fields else _event(kind)


def _anchor(title: str) -> str:
    """The fragment of a heading, as GitHub and mkdocs make it."""
    return title.lower().replace(" ", "-")


def _kinds() -> Iterator[str]:
    definitions = _definitions()
    yield "## Lines\n"
    for kind in sorted(_all_kinds(), key=_title):
        users = [command for command in OUTPUTS if kind in OUTPUTS[command]]
        yield f"### {_title(kind)}\n"
        node = definitions[kind.__name__]
        yield f"{node['description']}\n"
        yield f"Printed by: {', '.join(f'`{name}`' for name in users) or 'all commands'}\n"
        yield from _table(node)


def _types() -> Iterator[str]:
    definitions = _definitions()
    kinds = {kind.__name__ for kind in _all_kinds()}
    yield "## Types\n"
    for name in sorted(definitions.keys() - kinds):
        yield f"### {name}\n"
        if "description" in definitions[name]:
            yield f"{definitions[name]['description']}\n"
        yield from _table(definitions[name])


def _table(node: dict[str, Any]) -> Iterator[str]:
    yield "| field | type | |"
    yield "|---|---|---|"
    for name, field in node.get("properties", {}).items():
        yield f"| `{name}` | {_type(field)} | {'' if name in node.get('required', ()) else 'may be missing'} |"
    yield ""


def _type(node: dict[str, Any]) -> str:
    """A field's type in words."""
    if "$ref" in node:
        name = node["$ref"].rpartition("/")[2]
        return f"[{name}](#{_anchor(name)})"
    if "anyOf" in node:
        return " or ".join(_type(one) for one in node["anyOf"])
    if "const" in node:
        return f"`{json.dumps(node['const'])}`"
    if "enum" in node:
        return ", ".join(f"`{json.dumps(one)}`" for one in node["enum"])
    if node.get("type") == "array":
        return f"list of {_type(node['items'])}"
    if node.get("type") == "object":
        values = node.get("additionalProperties")
        return f"object of {_type(values)}" if isinstance(values, dict) and values else "object"
    return str(node.get("type", "any"))
