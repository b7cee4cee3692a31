"""Items of a recipe that are a name, or a name with parameters: operations and checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from pydantic import BaseModel, PlainSerializer, PlainValidator, ValidationError

from imagebuild.schema.document import Route
from imagebuild.schema.fields import Kind, shown
from imagebuild.schema.findings import Finding, Refused, did_you_mean, findings
from imagebuild.schema.parameters import schema_default


class NamedCall(Protocol):
    """An item: its name, and its parameters as the model of that name has validated them."""

    @property
    def name(self) -> str: ...

    @property
    def params(self) -> BaseModel: ...


@dataclass(frozen=True)
class NamedKind:
    """What the items of a list are: ``word`` is what messages call one, ``listed`` the command that
    lists them.
    """

    word: str
    listed: str
    names: Callable[[], tuple[str, ...]]
    params_model: Callable[[str], type[BaseModel]]
    summary: Callable[[str], str]
    call: Callable[[str, Mapping[str, Any]], NamedCall]

    @property
    def annotations(self) -> tuple[Any, ...]:
        """What a field's ``Annotated`` needs."""
        return (
            PlainValidator(partial(_item, self)),
            PlainSerializer(_data, return_type=dict[str, Any]),
            Kind(self.word, schema=partial(_schema, self)),
        )


def _item(kind: NamedKind, value: Any) -> Any:
    if not isinstance(value, str | dict):
        if hasattr(value, "params"):
            return value
        raise _wrong(kind, value)
    params: Any = {}
    inner: Route = ()
    name: Any = value
    if isinstance(value, dict):
        if len(value) != 1:
            raise _wrong(kind, value)
        name, params = next(iter(value.items()))
        inner = (name,)
        params = {} if params is None else params
    if not isinstance(name, str):
        raise _wrong(kind, value)
    known = kind.names()
    if name not in known:
        from imagebuild.migration import words  # most recipes have no unknown words

        hint = words.operation(name) if kind.word == "operation" else did_you_mean(name, known)
        message = f"unknown {kind.word} {name!r}"
        raise Refused([Finding(inner, message, hint or f"`{kind.listed}` lists them", at_key=True)])
    if not isinstance(params, dict):
        from imagebuild.migration.words import example

        message = f"expected a mapping of parameters, found {shown(params)}"
        raise Refused([Finding(inner, message, f"write {example(name, kind.params_model(name), params)}")])
    try:
        return kind.call(name, params)
    except ValidationError as error:
        from imagebuild.migration import words

        found = findings(error, kind.params_model(name), words.key)
        nested = [Finding((*inner, *x.route), x.message, x.hint, x.at_key) for x in found]
        raise Refused(nested) from error


def _wrong(kind: NamedKind, value: Any) -> Refused:
    """What is neither a name nor one name with its parameters."""
    article = "an" if kind.word[0] in "aeiou" else "a"
    message = f"expected {article} {kind.word}'s name, or one name with its parameters, found {shown(value)}"
    if not isinstance(value, dict) or len(value) < 2:
        return Refused([Finding((), message)])
    name, *others = map(str, value)
    if name in kind.names() and not set(others) & set(kind.names()):
        message = f"the parameters of {name} must be indented further than {name} itself"
        return Refused([Finding((others[0],), message, f"indent {', '.join(others)} by two more spaces", at_key=True)])
    return Refused([Finding((), f"{message} of {len(value)} keys", f"begin a new item with `-` for each {kind.word}")])


def _data(call: NamedCall) -> dict[str, Any]:
    return {call.name: call.params.model_dump(mode="json")}


def _schema(kind: NamedKind) -> dict[str, Any]:
    """JSON Schema: a name, or one name with its parameters."""
    names = kind.names()
    described = {}
    for name in names:
        params = kind.params_model(name)
        schema = _without_references(params.model_json_schema())
        for key, field in params.model_fields.items():
            if "default" in (about := schema["properties"][key]):
                about["default"] = schema_default(field, about["default"])
        described[name] = {"description": kind.summary(name), "anyOf": [schema, {"type": "null"}]}
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
