"""The table of a recipe's keys in docs/recipes.md, generated from the model."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from imagebuild.recipe.model.machine import Machine, Vm
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.recipe.schema import composition
from imagebuild.schema.key_table import Row, key_rows, markdown


def table() -> str:
    """Every key with its type, default and meaning, as a Markdown table."""
    return markdown([*_composing(), *key_rows(Recipe, special={Vm: _differing})])


def _composing() -> Iterator[Row]:
    """The keys that control how a recipe is composed; the composed recipe does not have them."""
    keys = composition()
    matrix = keys["matrix"]["properties"]
    yield "extends", "path or [path, …]", "none", keys["extends"]["description"]
    yield "matrix.NAME", "[value, …] or {value: keys of a recipe, …}", "none", keys["matrix"]["description"]
    yield "matrix.include", "[{NAME: value, …}, …]", "none", matrix["include"]["description"]
    yield "matrix.exclude", "[{NAME: value, …}, …]", "none", matrix["exclude"]["description"]


def _differing(vm: type[BaseModel], prefix: str) -> Iterator[Row]:
    """The keys of the install VM that the machine does not have, or has in another form."""
    known = set(key_rows(Machine, prefix))
    yield prefix + "…", "", "", "The keys of `machine` except `firmware`. These differ:"
    yield from (row for row in key_rows(vm, prefix) if row not in known)
