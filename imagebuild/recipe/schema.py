"""The JSON Schema of recipes, for editors: they complete keys and values, and mark mistakes.

It is generated from the model. A schema can express less than the loader checks; `imagebuild lint`
also checks combinations of keys.
"""

from __future__ import annotations

import json
from typing import Any

import imagebuild
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.schema.json_schema import schema_of

_VARIABLE = {"type": "string", "pattern": r"\$\{"}
"""Any value may come from a variable."""
_SCALAR = {"type": ["string", "number", "boolean"]}
_VALUE = {"anyOf": [_SCALAR, {"type": "array", "items": _SCALAR}]}


def schema() -> dict[str, Any]:
    """The JSON Schema of a recipe file.

    Other files may extend it, so no key is required.
    """
    made = schema_of(Recipe, more=_composed)
    made["properties"] = {**made["properties"], **composition()}
    about = {"title": f"Recipe of imagebuild {imagebuild.__version__}", "description": "Description of an image."}
    definitions = made.pop("definitions")
    return {**made, **about, "definitions": definitions}


def text() -> str:
    """The schema as JSON text."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def _composed(kinds: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """References to variables, and changes of lists."""
    more = [_change(one) for one in kinds if one.get("type") == "array"]
    if any(_is_narrow_scalar(one) for one in [*kinds, *more]):
        more.append(_VARIABLE)
    return more


def _is_narrow_scalar(node: dict[str, Any]) -> bool:
    """Whether ``node`` accepts text or numbers, but not arbitrary text."""
    types = node.get("type", [])
    if "$ref" in node or types in ("array", "object", "null"):
        return False
    return "string" not in types or any(key in node for key in ("enum", "const", "pattern"))


def _change(array: dict[str, Any]) -> dict[str, Any]:
    """The schema of a change to the list of an extended file: ``{append: […], remove: […]}``, or
    ``{replace: […]}``.
    """
    items = {"type": "array", "items": array.get("items", {})}
    changed = {
        "append": {**items, "description": "Items to append to the list of the extended file, as a plain list does."},
        "prepend": {**items, "description": "Items to insert before those of the extended file."},
        "remove": {"type": "array", "items": _SCALAR, "description": "Items to remove from it."},
    }
    replaced = {"replace": {**items, "description": "The list, in place of the one of the extended file."}}
    return {"anyOf": [_mapping(changed), {**_mapping(replaced), "required": ["replace"]}]}


def _mapping(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False, "minProperties": 1}


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
