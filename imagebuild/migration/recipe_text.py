"""Operations as the YAML of a recipe, with comments."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import yaml

from imagebuild.migration.translated import Call, Part
from imagebuild.printable import one_line

_NUMBER_OF_YAML_12 = re.compile(r"0o[0-7]+")
"""Text that PyYAML, which follows YAML 1.1, would not quote."""


_LONGEST = 100
"""The most characters of parameters on one line."""


class _Line(dict[str, Any]):
    """Parameters that are written on one line."""


class _Dumper(yaml.SafeDumper):
    """Writes parameters on one line, and text of several lines as a block."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: FBT001, FBT002
        super().increase_indent(flow, indentless=False)

    def represent_text(self, data: str) -> yaml.ScalarNode:
        several = "\n" in data.rstrip("\n") or (data.endswith("\n") and len(data) > 1)
        style = "|" if several else '"' if _NUMBER_OF_YAML_12.fullmatch(data) else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)

    def represent_line(self, data: _Line) -> yaml.MappingNode:
        return self.represent_mapping("tag:yaml.org,2002:map", data, flow_style=True)


_Dumper.add_representer(str, _Dumper.represent_text)
_Dumper.add_representer(_Line, _Dumper.represent_line)


def written(parts: Iterable[Part]) -> Iterator[str]:
    """The items of ``operations:`` as lines; an operation that is not complete is a comment."""
    for part in parts:
        if isinstance(part, Call):
            yield from ([f"  # {one_line(part.note)}"] if part.note else [])
            yield from _call(part)
        else:
            yield f"  # {one_line(part.text)}"
            yield from (f"  #{line[1:]}" for line in (_call(part.draft) if part.draft else ()))


def _call(call: Call) -> Iterator[str]:
    params = _escaped(dict(call.params))
    short = len(str(params)) <= _LONGEST and not any("\n" in str(value) for value in params.values())
    item: Any = {call.name: _Line(params) if short else params} if params else call.name
    text = yaml.dump([item], Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000_000)
    yield from (f"  {line}".rstrip() for line in str(text).splitlines())


def _escaped(value: Any) -> Any:
    """Text in which ``${`` does not refer to a variable of the recipe."""
    if isinstance(value, str):
        return value.replace("${", "$${")
    if isinstance(value, dict):
        return {key: _escaped(inner) for key, inner in value.items()}
    return [_escaped(inner) for inner in value] if isinstance(value, list) else value
