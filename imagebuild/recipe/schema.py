"""The JSON Schema of recipes, for editors: they complete keys and values, and mark mistakes.

It is generated from the model. A schema can express less than the loader checks; `imagebuild lint`
also checks combinations of keys.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

import imagebuild
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.schema.fields import KIND, Kind
from imagebuild.schema.section import Short, without_nothing

DIALECT = "http://json-schema.org/draft-07/schema#"
"""The dialect that editors' language servers support best."""

_VARIABLE = {"type": "string", "pattern": r"\$\{"}
"""Any value may come from a variable."""
_NOTHING = {"type": "null"}
_SPELLED = {"ge": "minimum", "le": "maximum"}
"""pydantic keeps its own names for a number's limits if a validator precedes them."""
_SCALAR = {"type": ["string", "number", "boolean"]}
_VALUE = {"anyOf": [_SCALAR, {"type": "array", "items": _SCALAR}]}


def schema() -> dict[str, Any]:
    """The JSON Schema of a recipe file.

    Other files may extend it, so no top-level key is required.
    """
    made = Recipe.model_json_schema(schema_generator=_SchemaGenerator)
    definitions = {name: _section(section) for name, section in made.pop("$defs", {}).items()}
    top = _section(made)
    top["properties"] = {**top["properties"], **composition()}
    about = {"title": f"Recipe of imagebuild {imagebuild.__version__}", "description": "Description of an image."}
    return {"$schema": DIALECT, **top, **about, "definitions": definitions}


def text() -> str:
    """The schema as JSON text."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


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
        return {"anyOf": [inner, _NOTHING]} if function is without_nothing else inner


def _section(node: dict[str, Any]) -> dict[str, Any]:
    """A section of a recipe.

    Any of its keys may come from an extended file, so none is required.
    """
    section = {key: _plain(value) for key, value in node.items() if key not in ("title", "required", "properties")}
    section["type"] = ["object", "null"]  # a key without a value means the defaults
    if "properties" in node:
        section["properties"] = {name: _property(value) for name, value in node["properties"].items()}
    return section


def _property(node: dict[str, Any]) -> dict[str, Any]:
    """A key: its description, its default and its values, including references to variables and
    changes of lists.
    """
    about: dict[str, Any] = {key: node[key] for key in ("description", "default") if key in node}
    if about.get("default") in (None, "", [], {}):
        about.pop("default", None)
    elif (kind := next(_kinds(node), None)) is not None and kind.schema is not None and about["default"] is not False:
        about["default"] = kind.written(about["default"])
    kinds = _alternatives({key: value for key, value in node.items() if key not in ("description", "default", "title")})
    if any("$ref" in one for one in kinds):
        kinds = [one for one in kinds if one != _NOTHING]  # a section accepts it anyway
    kinds += [_change(one) for one in kinds if one.get("type") == "array"]
    if any(_is_narrow_scalar(one) for one in kinds):
        kinds.append(_VARIABLE)
    # draft 7 ignores keywords next to a reference
    if len(kinds) > 1:
        return {**about, "anyOf": kinds}
    return {**about, **({"allOf": kinds} if "$ref" in kinds[0] else kinds[0])}


def _is_narrow_scalar(node: dict[str, Any]) -> bool:
    """Whether ``node`` accepts text or numbers, but not arbitrary text."""
    types = node.get("type", [])
    if "$ref" in node or types in ("array", "object", "null"):
        return False
    return "string" not in types or any(key in node for key in ("enum", "const", "pattern"))


def _alternatives(node: dict[str, Any]) -> list[dict[str, Any]]:
    if set(node) - {KIND} == {"anyOf"}:
        return [one for inner in node["anyOf"] for one in _alternatives(inner)]
    return [_plain(node)]


def _kinds(node: Any) -> Any:
    if isinstance(node, dict):
        if isinstance(node.get(KIND), Kind):
            yield node[KIND]
        for inner in node.get("anyOf", ()):
            yield from _kinds(inner)


def _change(array: dict[str, Any]) -> dict[str, Any]:
    """The schema of a change to the list of an extended file: ``{append: […], remove: […]}``."""
    items = {"type": "array", "items": array.get("items", {})}
    properties = {
        "append": {**items, "description": "Items to append to the list of the extended file."},
        "remove": {"type": "array", "items": _SCALAR, "description": "Items to remove from it."},
    }
    return {"type": "object", "properties": properties, "additionalProperties": False, "minProperties": 1}


def _plain(node: Any) -> Any:
    """``node`` without pydantic's titles and imagebuild's marks, and with references in draft 7
    style.
    """
    if isinstance(node, dict):
        if "$ref" in node:
            return {"$ref": node["$ref"].replace("#/$defs/", "#/definitions/")}
        return {_SPELLED.get(key, key): _plain(value) for key, value in node.items() if key not in (KIND, "title")}
    return [_plain(item) for item in node] if isinstance(node, list) else node


def composition() -> dict[str, Any]:
    """The keys that control how a recipe is composed: extends, variables, matrix."""
    names = {"pattern": "^[a-z][a-z0-9_]*$"}
    declaration = {
        "type": "object",
        "properties": {
            "type": {"enum": ["text", "number", "boolean", "list"], "description": "Type of the value."},
            "default": {**_VALUE, "description": "Value if none is set; without a default, a value must be set."},
            "choices": {"type": "array", "items": _SCALAR, "description": "The allowed values."},
            "description": {"type": "string", "description": "Description of the variable, in one line."},
        },
        "additionalProperties": False,
    }
    axis = {"anyOf": [{"type": "array", "items": _SCALAR}, {"type": "object", "additionalProperties": {"$ref": "#"}}]}
    cells = {"type": "array", "items": {"type": "object", "additionalProperties": _SCALAR}}
    file = {"type": "string", "minLength": 1}
    return {
        "extends": {
            "description": "The file, or the files in order, that this one extends: relative to it, or a shipped one.",
            "anyOf": [file, {"type": "array", "items": file}],
        },
        "variables": {
            "description": "User-defined values: text refers to them as `${NAME}`, a kickstart template as"
            " `variables.NAME`.",
            "type": "object",
            "propertyNames": names,
            "additionalProperties": {"anyOf": [_VALUE, declaration]},
        },
        "matrix": {
            "description": "Axes; each combination of their values is an image. An axis is also a variable.",
            "type": "object",
            "propertyNames": names,
            "properties": {
                "include": {**cells, "description": "Additional combinations."},
                "exclude": {**cells, "description": "Combinations to leave out."},
            },
            "additionalProperties": axis,
        },
    }
