"""The table of a section's keys for the documentation, generated from the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from imagebuild.schema.fields import Kind
from imagebuild.schema.section import SecretRef, Short

Row = tuple[str, str, str, str]
"""A key, its type, its default and its meaning."""
Inner = Callable[[type[BaseModel], str], Iterator[Row]]
"""The rows of a section whose keys begin with a prefix."""


def markdown(rows: Iterable[Row]) -> str:
    """The rows as a Markdown table."""
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    lines += [f"| `{key}` | {kind} | {default} | {meaning} |" for key, kind, default, meaning in rows]
    return "\n".join(lines) + "\n"


def key_rows(
    model: type[BaseModel], prefix: str = "", special: Mapping[type[BaseModel], Inner] | None = None
) -> Iterator[Row]:
    """The rows of all keys of ``model`` and of the sections in it, in its order.

    ``special`` has sections whose rows differ from what their model says.
    """
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
        elif get_origin(field.annotation) is dict:
            inner = f"{prefix}{name}.NAME."
            yield prefix + name, "{name: keys, …}", "none", described
        elif short is not None:
            yield prefix + name, short.words, _default(field, short), described
        if special and section in special:
            yield from special[section](section, inner)
        else:
            yield from key_rows(section, inner, special)


def _section(annotation: Any) -> type[BaseModel] | None:
    """The section that a key, or each item of its list or mapping, contains; None for plain values."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = [one for one in get_args(annotation) if one not in (NoneType, Ellipsis)]
    if get_origin(annotation) is dict:
        return _section(inner[1])
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
