"""The table of a recipe's keys in docs/recipes.md, generated from the model."""

from __future__ import annotations

from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from imagebuild.recipe.model.machine import Machine, Vm
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.recipe.schema import composition
from imagebuild.schema.fields import Kind
from imagebuild.schema.section import SecretRef, Short


def table() -> str:
    """Every key with its type, default and meaning, as a Markdown table."""
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    rows += [f"| `{key}` | {kind} | none | {meaning} |" for key, kind, meaning in _composing()]
    rows += [f"| `{key}` | {kind} | {default} | {meaning} |" for key, kind, default, meaning in _rows(Recipe, "")]
    return "\n".join(rows) + "\n"


def _composing() -> Iterator[tuple[str, str, str]]:
    """The keys that control how a recipe is composed; the composed recipe does not have them."""
    keys = composition()
    matrix = keys["matrix"]["properties"]
    yield "extends", "path or [path, …]", keys["extends"]["description"]
    yield "matrix.NAME", "[value, …] or {value: keys of a recipe, …}", keys["matrix"]["description"]
    yield "matrix.include", "[{NAME: value, …}, …]", matrix["include"]["description"]
    yield "matrix.exclude", "[{NAME: value, …}, …]", matrix["exclude"]["description"]


def _rows(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    for name, field in model.model_fields.items():
        described = field.description or ""
        short = next((short.kind for short in _shorts(field)), None)
        section, inner = _section(field.annotation), f"{prefix}{name}."
        if section is None or section is SecretRef:
            kind = _kind(Annotated[field.annotation, *field.metadata]) if field.metadata else _kind(field.annotation)
            yield prefix + name, kind.words, _default(field, kind), described
            continue
        if get_origin(field.annotation) is tuple:
            inner = f"{prefix}{name}[]."
            item = short or Kind("keys")
            kind = Kind(f"[{item.words}, …]", lambda values, item=item: f"[{', '.join(map(item.written, values))}]")  # type: ignore[misc]
            yield prefix + name, kind.words, _default(field, kind), described
        elif short is not None:
            yield prefix + name, short.words, _default(field, short), described
        if section is Vm:
            yield from _differing(section, inner)
        else:
            yield from _rows(section, inner)


def _differing(vm: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    """The keys of the install VM that the machine does not have, or has in another form."""
    known = set(_rows(Machine, prefix))
    yield prefix + "…", "", "", "The keys of `machine` except `firmware`. These differ:"
    yield from (row for row in _rows(vm, prefix) if row not in known)


def _section(annotation: Any) -> type[BaseModel] | None:
    """The section that a key, or each item of its list, contains; None for plain values."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = [one for one in get_args(annotation) if one not in (NoneType, Ellipsis)]
    if get_origin(annotation) in (Union, UnionType, tuple, Annotated) and not any(isinstance(n, Kind) for n in inner):
        return _section(inner[0])
    return None


def _shorts(field: FieldInfo) -> Iterator[Short]:
    """The plain values that are accepted instead of a section, or instead of the items of a list of
    sections.
    """
    notes = [*field.metadata]
    if get_origin(field.annotation) is tuple:
        notes += getattr(get_args(field.annotation)[0], "__metadata__", ())
    yield from (note.func for note in notes if isinstance(note, BeforeValidator) and isinstance(note.func, Short))


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
    if annotation is bool:
        return Kind("`true`, `false`", lambda value: str(value).lower())
    if annotation is SecretRef:
        return Kind("reference")
    raise TypeError(f"{annotation} needs a Kind to be explained")


def _default(field: FieldInfo, kind: Kind) -> str:
    if field.is_required():
        return "required"
    if field.default_factory is not None and field.default_factory_takes_validated_data:
        return "none"  # it depends on other keys; the description says how
    value = field.get_default(call_default_factory=True, validated_data={})
    return "none" if value is None or value in ((), {}, "") else f"`{kind.written(value)}`"
