"""How the parameters of operations and checks are shown, in the manual and on the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo


@dataclass(frozen=True)
class WrittenAs:
    """A mark in the annotation of a parameter whose values people do not write as Python does."""

    written: Callable[[Any], str]


def default_of(field: FieldInfo) -> str | None:
    """The default as it is written in a recipe; None if the parameter is required, and empty if it
    has no value by default."""
    if field.is_required():
        return None
    value = field.get_default(call_default_factory=True, validated_data={})
    return "" if value is None or value in ("", (), {}) else _written(value, field)


def schema_default(field: FieldInfo, default: Any) -> Any:
    """The ``default`` of a JSON Schema as it is written in a recipe."""
    mark = next(_marks(field), None)
    return default if mark is None or default is None else mark.written(default)


def table(params: type[BaseModel]) -> list[str]:
    """The parameters as rows of a Markdown table: name, default, meaning."""
    rows = ((name, default_of(field), field.description) for name, field in params.model_fields.items())
    return [f"| `{name}` | {_cell(default)} | {description} |" for name, default, description in rows]


def _cell(default: str | None) -> str:
    return "required" if default is None else f"`{default}`" if default else "none"


def _written(value: Any, field: FieldInfo) -> str:
    mark = next(_marks(field), None)
    if mark is not None:
        return f'"{mark.written(value)}"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | frozenset):
        return f"[{', '.join(map(str, value))}]"
    return str(value)


def _marks(field: FieldInfo) -> Iterator[WrittenAs]:
    notes = [*field.metadata, *_notes(field.annotation)]
    return (note for note in notes if isinstance(note, WrittenAs))


def _notes(annotation: Any) -> Iterator[Any]:
    yield from getattr(annotation, "__metadata__", ())
    for inner in get_args(annotation):
        yield from _notes(inner)
