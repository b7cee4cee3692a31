"""Writes a recipe as YAML: one complete file, with the origin of each value."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import yaml
from pydantic import BaseModel

from imagebuild.customise.host_inputs import HostPath
from imagebuild.customise.operation import OperationCall
from imagebuild.printable import one_line
from imagebuild.recipe.compose import variables
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.recipe.yaml.reader import scalar
from imagebuild.schema.document import Route, Value, WrittenInt
from imagebuild.schema.fields import PATHS, Kind

_PLAIN = re.compile(r"[A-Za-z0-9_./]+(?:[ ,@%+=~^-]+[A-Za-z0-9_./]+)*")
"""Text that needs no quotes in YAML; any other text is quoted."""


def written(recipe: Recipe) -> str:
    """The composed recipe as YAML, with a comment after every value that has its file and line.

    Paths are relative to the folder of the recipe's file.
    """
    root = recipe.document.root
    assert root is not None
    writer = _Writer(recipe.source, frozenset(_paths(recipe, ())))
    return "".join(f"{line}\n" for line in writer.entries(root, ()))


class _Writer:
    def __init__(self, source: Path, paths: frozenset[Route]) -> None:
        self._source = source
        self._paths = paths

    def entries(self, mapping: Value, route: Route) -> Iterator[str]:
        for key, value in mapping.entries.items():
            first, *rest = self._value(value, (*route, key))
            yield f"{_quoted(key)}:{first}"
            yield from (f"  {line}" for line in rest)

    def _value(self, value: Value, route: Route) -> Iterator[str]:
        """What follows a key: the rest of its line, then the further lines."""
        if not value.entries and not value.items:
            line = f":{value.mark.value}" if value.mark.value else ""
            yield f" {self._scalar(value, route)}  # {one_line(value.mark.file)}{line}"
            return
        yield ""
        if value.entries:
            yield from self.entries(value, route)
        for at, item in enumerate(value.items):
            if item.entries or item.items:
                lines = self.entries(item, (*route, at)) if item.entries else list(self._value(item, (*route, at)))[1:]
                yield from (f"{'  ' if number else '- '}{line}" for number, line in enumerate(lines))
            else:
                yield f"-{next(self._value(item, (*route, at)))}"

    def _scalar(self, value: Value, route: Route) -> str:
        data = value.data
        if isinstance(data, dict | list):
            return "{}" if isinstance(data, dict) else "[]"
        if data is None:
            return "null"
        if isinstance(data, bool):
            return str(data).lower()
        if isinstance(data, int):
            return data.written if isinstance(data, WrittenInt) else str(data)
        text = str(data)
        if route[0] != variables.KEY:
            text = text.replace("${", "$${")
        if route in self._paths or route[:-1] in self._paths:
            text = self._moved(text, value)
        return _quoted(text, is_key=False)

    def _moved(self, path: str, value: Value) -> str:
        """A path from a file in another folder, relative to the recipe's folder."""
        here, there = (os.path.realpath(Path(file).parent) for file in (self._source, value.mark.file))
        if here == there or "://" in path or path.startswith(("/", "~")):
            return path
        return os.path.relpath(Path(there, path), here)


def _quoted(text: str, *, is_key: bool = True) -> str:
    if _PLAIN.fullmatch(text) and (is_key or isinstance(scalar(text), str)):
        return text
    return str(yaml.dump(text, default_style='"', allow_unicode=True, width=float("inf"))).rstrip("\n")


def _paths(value: Any, route: Route) -> Iterator[Route]:
    """The routes of file paths in the recipe; these are relative to the file in which they are
    written.
    """
    if isinstance(value, OperationCall):
        yield from _paths(value.params, (*route, value.name))
    elif isinstance(value, tuple):
        for at, item in enumerate(value):
            yield from _paths(item, (*route, at))
    elif isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            if _is_path(Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation):
                yield (*route, name)
            else:
                yield from _paths(getattr(value, name), (*route, name))


def _is_path(annotation: Any) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, HostPath):
        return True
    if get_origin(annotation) is Annotated:
        notes = annotation.__metadata__
        return any(isinstance(note, Kind) and note.words in PATHS for note in notes) or _is_path(annotation.__origin__)
    return any(_is_path(inner) for inner in get_args(annotation))
