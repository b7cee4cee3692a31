"""The table of a recipe's keys in docs/recipes.md, written from the model."""

from __future__ import annotations

from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from imagebuild.recipe.fields import Kind
from imagebuild.recipe.model import Recipe
from imagebuild.recipe.section import SecretRef


def table() -> str:
    """Every key with its type, its default and its meaning, as a Markdown table."""
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    rows += [f"| `{key}` | {kind} | {default} | {meaning} |" for key, kind, default, meaning in _rows(Recipe, "")]
    return "\n".join(rows) + "\n"


def _rows(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    for name, field in model.model_fields.items():
        if section := _section(field.annotation):
            yield from _rows(section[0], f"{prefix}{name}{section[1]}.")
            continue
        kind = _kind(Annotated[field.annotation, *field.metadata]) if field.metadata else _kind(field.annotation)
        yield prefix + name, kind.words, _default(field, kind), field.description or ""


def _section(annotation: Any) -> tuple[type[BaseModel], str] | None:
    """The mapping that a key holds, perhaps, or a list of; the second is what the key gets in the table."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return None if annotation is SecretRef else (annotation, "")
    inner = [one for one in get_args(annotation) if one not in (NoneType, Ellipsis)]
    if len(inner) != 1 or get_origin(annotation) not in (Union, UnionType, tuple):
        return None
    found = _section(inner[0])
    return found and (found[0], "[]" if get_origin(annotation) is tuple else found[1])


def _kind(annotation: Any) -> Kind:
    for note in getattr(annotation, "__metadata__", ()):
        if isinstance(note, Kind):
            return note
    if get_origin(annotation) is Annotated:
        return _kind(annotation.__origin__)
    inner = get_args(annotation)
    if get_origin(annotation) is Literal:
        return Kind(", ".join(f"`{value}`" for value in inner))
    if get_origin(annotation) in (Union, UnionType) and NoneType in inner:
        (wanted,) = [one for one in inner if one is not NoneType]
        return _kind(wanted)
    if get_origin(annotation) is tuple:
        item = _kind(inner[0])
        return Kind(f"[{item.words}, …]", lambda values: "[" + ", ".join(map(item.written, values)) + "]")
    if get_origin(annotation) is dict:
        return Kind(f"{{{_kind(inner[0]).words}: {_kind(inner[1]).words}, …}}")
    if annotation is SecretRef:
        return Kind("reference")
    if annotation is bool:
        return Kind("true or false", lambda value: str(value).lower())
    raise TypeError(f"{annotation} needs a Kind to be explained")


def _default(field: FieldInfo, kind: Kind) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    return f"`{kind.written(value)}`" if value not in (None, (), {}, "") or value is False else "none"
