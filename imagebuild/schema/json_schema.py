"""The JSON Schema of a section, for editors: they complete keys and values, and mark mistakes.

A schema can express less than a loader checks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from imagebuild.schema.fields import KIND, Kind
from imagebuild.schema.section import Short, without_none, without_nothing

DIALECT = "http://json-schema.org/draft-07/schema#"
"""The dialect that editors' language servers support best."""

Node = dict[str, Any]
_NOTHING = {"type": "null"}
_SPELLED = {"ge": "minimum", "le": "maximum"}
"""pydantic keeps its own names for a number's limits if a validator precedes them."""


def schema_of(model: type[BaseModel], *, more: Callable[[list[Node]], list[Node]] | None = None) -> Node:
    """The schema of a file that contains the section ``model``.

    ``more`` returns what a key accepts beside the given alternatives. With it, no key is required,
    because the file may be completed by others.
    """
    made = model.model_json_schema(schema_generator=_SchemaGenerator)
    definitions = {name: _section(section, more) for name, section in made.pop("$defs", {}).items()}
    return {"$schema": DIALECT, **_section(made, more), "definitions": definitions}


class _SchemaGenerator(GenerateJsonSchema):
    """Takes the schemas of imagebuild's own validators into account."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ignored_warning_kinds = {"non-serializable-default"}

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> JsonSchemaValue:
        function: Callable[..., Any] = schema["function"]["function"]
        described = getattr(function, "json_schema", None)
        if described is not None:
            return dict(described)
        inner = super().function_before_schema(schema)
        if isinstance(function, Short):
            return {"anyOf": [function.kind.own_schema(), inner]}
        if function is without_nothing or (function is without_none and "$ref" not in inner):
            return {"anyOf": [inner, _NOTHING]}
        return inner


def _section(node: Node, more: Callable[[list[Node]], list[Node]] | None) -> Node:
    left_out = {"title", "properties", *(("required",) if more else ())}
    section = {key: _plain(value) for key, value in node.items() if key not in left_out}
    if more or not node.get("required"):
        section["type"] = ["object", "null"]  # a key without a value means the defaults
    if "properties" in node:
        section["properties"] = {name: _property(value, more) for name, value in node["properties"].items()}
    return section


def _property(node: Node, more: Callable[[list[Node]], list[Node]] | None) -> Node:
    """A key: its description, its default and its values."""
    about: Node = {key: node[key] for key in ("description", "default") if key in node}
    if about.get("default") in (None, "", [], {}):
        about.pop("default", None)
    elif (kind := next(_kinds(node), None)) is not None and kind.schema is not None and about["default"] is not False:
        about["default"] = kind.written(about["default"])
    kinds = _alternatives({key: value for key, value in node.items() if key not in ("description", "default", "title")})
    if any("$ref" in one for one in kinds):
        kinds = [one for one in kinds if one != _NOTHING]  # a section accepts it anyway
    kinds += more(kinds) if more else []
    # draft 7 ignores keywords next to a reference
    if len(kinds) > 1:
        return {**about, "anyOf": kinds}
    return {**about, **({"allOf": kinds} if "$ref" in kinds[0] else kinds[0])}


def _alternatives(node: Node) -> list[Node]:
    if set(node) - {KIND} == {"anyOf"}:
        return [one for inner in node["anyOf"] for one in _alternatives(inner)]
    return [_plain(node)]


def _kinds(node: Any) -> Iterator[Kind]:
    if isinstance(node, dict):
        if isinstance(node.get(KIND), Kind):
            yield node[KIND]
        for inner in node.get("anyOf", ()):
            yield from _kinds(inner)


def _plain(node: Any) -> Any:
    """``node`` without pydantic's titles and imagebuild's marks, and with references in draft 7
    style.
    """
    if isinstance(node, dict):
        if "$ref" in node:
            return {"$ref": node["$ref"].replace("#/$defs/", "#/definitions/")}
        named = {"additionalProperties": False} if "patternProperties" in node else {}
        plain = {_SPELLED.get(key, key): _plain(value) for key, value in node.items() if key not in (KIND, "title")}
        return {**named, **plain}
    return [_plain(item) for item in node] if isinstance(node, list) else node
