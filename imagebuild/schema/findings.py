"""Problems in a recipe's values, as sentences: pydantic's errors translated to the terms of
recipes.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from imagebuild.errors import Problem
from imagebuild.schema.document import Document, Mark, Route, dotted
from imagebuild.schema.fields import shown

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


@dataclass(frozen=True)
class Finding:
    """One problem at ``route``; ``at_key`` if the key itself is wrong and not its value.

    ``again`` is where a list already has the same item.
    """

    route: Route
    message: str
    hint: str | None = None
    at_key: bool = False
    again: Route | None = None


class Refused(ValueError):
    """Raised by a validator that has found one or more problems in a value or below it."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("; ".join(finding.message for finding in self.findings))


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A hint with the closest match of ``known``, or with all of them if they are few."""
    names = list(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    if 0 < len(names) <= 12:
        return f"known: {', '.join(names)}"
    return None


def findings(error: ValidationError, model: type[BaseModel]) -> Iterator[Finding]:
    """All findings in a ValidationError of ``model``."""
    for detail in error.errors(include_url=False):
        yield from _findings(detail, model)


def _findings(detail: ErrorDetails, model: type[BaseModel]) -> Iterator[Finding]:
    route: Route = tuple(step for step in detail["loc"] if step != "[key]")
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    cause = context.get("error")
    if isinstance(cause, Refused):
        for inner in cause.findings:
            again = None if inner.again is None else (*route, *inner.again)
            yield Finding((*route, *inner.route), inner.message, inner.hint, inner.at_key, again)
        return
    if kind == "default_factory_not_called":  # a field that it depends on is wrong and already reported
        return
    hint = None
    if kind == "extra_forbidden":
        key = str(route[-1])
        known = [*_keys(model, route[:-1]), *(getattr(model, "BESIDE", ()) if len(route) == 1 else ())]
        hint = did_you_mean(key, known) if known else "no keys are allowed here"
        yield Finding(route, f"unknown key {key!r}", hint, at_key=True)
        return
    if kind == "missing":
        message = "this key is required but missing"
    elif kind == "literal_error":
        expected = str(context["expected"])
        message = f"expected {expected}, found {shown(value)}"
        if isinstance(value, str):
            hint = did_you_mean(value, expected.replace(" or ", ", ").replace("'", "").split(", "))
    elif kind == "value_error":
        message = str(cause)
    elif kind in _EXPECTED:
        message = f"expected {_EXPECTED[kind].format(**context)}, found {shown(value)}"
    else:
        said = detail["msg"]
        message = f"{said[0].lower()}{said[1:]}, found {shown(value)}"
    yield Finding(route, message, hint)


_EXPECTED = {
    "model_type": "a mapping of keys",
    "model_attributes_type": "a mapping of keys",
    "dict_type": "a mapping of keys",
    "tuple_type": "a list",
    "list_type": "a list",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "string_type": "text",
    "string_too_short": "at least {min_length} characters",
    "too_short": "a list of at least {min_length}",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
}


def _keys(model: type[BaseModel], route: Sequence[Any]) -> list[str]:
    """The keys that are allowed in the mapping at ``route``, as far as ``model`` knows them."""
    is_name = False  # the step is one of the names of a mapping such as `hosts`
    for step in route:
        if isinstance(step, int) or is_name:
            is_name = False
            continue
        field = model.model_fields.get(str(step))
        inner = list(models(field.annotation)) if field else []
        if field is None or not inner:
            return []
        model, is_name = inner[0], get_origin(field.annotation) is dict
    return [] if is_name else list(model.model_fields)


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models inside an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from models(inner)


def problems(found: Iterable[Finding], document: Document) -> Iterator[Problem]:
    """Findings with the file and line they belong to."""
    for finding in found:
        mark = document.mark(finding.route)
        line = mark.key if finding.at_key else mark.value
        hint = finding.hint
        if finding.again is not None and (there := document.mark(finding.again)).file != mark.file:
            hint = already_in(there, finding.route)
        yield Problem(mark.file, line, dotted(finding.route), finding.message, hint)


def already_in(there: Mark, route: Route) -> str:
    """The hint for an item at ``route`` that the list of an extended file has ``there``."""
    return (
        f"{there.file}:{there.value} has it already, and a list adds to that one: remove it here,"
        f" or write `{dotted(route[:-1])}: {{replace: […]}}`"
    )


def twice(items: Sequence[Any], key: Route = ()) -> list[Finding]:
    """The findings for the items that the list at ``key`` has more than once."""
    first: dict[Any, int] = {}
    return [
        Finding((*key, at), f"{item!r} is listed twice", "remove one of the two", again=(*key, first[item]))
        for at, item in enumerate(items)
        if first.setdefault(item, at) != at
    ]
