"""The operations of a recipe: names, or names with parameters, checked by the operation's own
model.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator, ValidationError

from imagebuild.customise import registry
from imagebuild.customise.operation import OperationCall
from imagebuild.schema.document import Route
from imagebuild.schema.fields import Kind, shown
from imagebuild.schema.findings import Finding, Refused, did_you_mean, findings


@cache
def _without_params(name: str) -> OperationCall:
    return registry.call(name)


def _operation(value: Any) -> OperationCall:
    if isinstance(value, OperationCall):
        return value
    params: Any = {}
    inner: Route = ()
    if isinstance(value, dict) and len(value) == 1:
        name, params = next(iter(value.items()))
        inner = (name,)
        params = {} if params is None else params
    else:
        name = value
    if not isinstance(name, str):
        raise ValueError(f"expected an operation's name, or one name with its parameters, found {shown(value)}")
    known = registry.names()
    if name not in known:
        hint = did_you_mean(name, known) or "`imagebuild operations list` lists them"
        raise Refused([Finding(inner, f"unknown operation {name!r}", hint, at_key=True)])
    model = registry.params_model(name)
    if not isinstance(params, dict):
        raise Refused([Finding(inner, f"expected a mapping of parameters, found {shown(params)}")])
    try:
        return registry.call(name, params) if params else _without_params(name)
    except ValidationError as error:
        nested = [Finding((*inner, *x.route), x.message, x.hint, x.at_key) for x in findings(error, model)]
        raise Refused(nested) from error


def _operation_data(call: OperationCall) -> dict[str, Any]:
    return {call.name: call.params.model_dump(mode="json")}


def _operation_schema() -> dict[str, Any]:
    """JSON Schema: a name, or one name with its parameters."""
    names = registry.names()
    params = {name: _without_references(registry.params_model(name).model_json_schema()) for name in names}
    described = {
        name: {"description": registry.get(name).summary, "anyOf": [schema, {"type": "null"}]}
        for name, schema in params.items()
    }
    one = {
        "type": "object",
        "properties": described,
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
    return {"anyOf": [{"enum": list(names)}, one]}


def _without_references(schema: dict[str, Any]) -> dict[str, Any]:
    """``schema`` with its references replaced by their definitions, so that it can be part of
    another schema.
    """
    definitions = schema.pop("$defs", {})

    def resolved(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                return resolved(definitions[node["$ref"].removeprefix("#/$defs/")])
            return {key: resolved(value) for key, value in node.items()}
        return [resolved(item) for item in node] if isinstance(node, list) else node

    made: dict[str, Any] = resolved(schema)
    return made


Operation = Annotated[
    OperationCall,
    PlainValidator(_operation),
    PlainSerializer(_operation_data, return_type=dict[str, Any]),
    Kind("operation", schema=_operation_schema),
]
