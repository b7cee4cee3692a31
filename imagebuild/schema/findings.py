"""Problems in a recipe's values, as sentences: pydantic's errors translated to the terms of
recipes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast, get_args, get_origin

from pydantic import BaseModel, ValidationError

from imagebuild.errors import Problem
from imagebuild.schema.document import Document, Mark, Route, dotted
from imagebuild.schema.fields import shown
from imagebuild.schema.similar import close as close
from imagebuild.schema.similar import did_you_mean as did_you_mean

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


@dataclass(frozen=True)
class Meant:
    """What is meant by an unknown key: another key of the same mapping if ``key`` is set."""

    hint: str
    key: str | None = None


Guess = Callable[[Route, Any, Sequence[str], Sequence[str]], Meant | None]
"""Returns what is meant by the unknown key at a route, from its value, the known keys of the
mapping, and those that it lacks."""


def no_guess(_route: Route, _value: Any, _known: Sequence[str], _missing: Sequence[str]) -> None:
    """A Guess that knows no other words."""


def findings(error: ValidationError, model: type[BaseModel], guess: Guess = no_guess) -> Iterator[Finding]:
    """All findings in a ValidationError of ``model``, one for each mistake: a key that is missing
    because it is misspelt is not reported as missing, too."""
    details = _without_alternatives(error.errors(include_url=False))
    missing = {_route(one) for one in details if one["type"] == "missing"}
    unknown: dict[Route, Finding] = {}
    for detail in details:
        if detail["type"] == "extra_forbidden":
            finding, meant = _unknown_key(_route(detail), detail["input"], model, missing, guess)
            unknown[finding.route] = finding
            missing.discard(meant)
    for detail in details:
        route = _route(detail)
        if detail["type"] == "extra_forbidden":
            yield unknown[route]
        elif detail["type"] != "missing" or route in missing:
            yield from _findings(detail, route, model)


_ALTERNATIVE = re.compile(r"str|int|bool|constrained-str|.*\[.*\]")
"""What pydantic inserts into the route of a value that may have several types."""


def _without_alternatives(details: Iterable[ErrorDetails]) -> list[ErrorDetails]:
    """The errors without those that say, for each type that a value may have, that it is not of
    this type; if nothing else is wrong with it, one error remains, with all the types."""
    kept: list[ErrorDetails] = []
    alternatives: dict[Route, list[ErrorDetails]] = {}
    for detail in details:
        at = next((i for i, step in enumerate(detail["loc"]) if _is_alternative(step)), None)
        if at is None:
            kept.append(detail)
        else:
            cut = (*detail["loc"][:at], *detail["loc"][at + 1 :])
            alternatives.setdefault(detail["loc"][:at], []).append({**detail, "loc": cut})
    for route, tried in alternatives.items():
        fits = [one for one in tried if one["loc"] != route or one["type"] not in _TYPES]
        types = " or ".join(dict.fromkeys(_TYPES[one["type"]] for one in tried if one["type"] in _TYPES))
        one = {**tried[0], "loc": route, "type": "alternatives", "ctx": {"types": types}}
        kept += fits or [cast("ErrorDetails", one)]
    return kept


def _is_alternative(step: int | str) -> bool:
    return isinstance(step, str) and step != "[key]" and _ALTERNATIVE.fullmatch(step) is not None


def _route(detail: ErrorDetails) -> Route:
    return tuple(step for step in detail["loc"] if step != "[key]")


def _unknown_key(
    route: Route, value: Any, model: type[BaseModel], missing: Collection[Route], guess: Guess
) -> tuple[Finding, Route]:
    """The finding of an unknown key, and the route of the key that is probably meant."""
    *inside, key = route
    known = [*_keys(model, inside), *(getattr(model, "BESIDE", ()) if not inside else ())]
    absent = [name for name in known if (*inside, name) in missing]
    meant = guess(route, value, known, absent)
    if meant is None:
        hint = did_you_mean(str(key), known) if known else "no keys are allowed here"
        near = close(str(key), known)
        meant = Meant(hint or "", near[0] if near else None)
    return Finding(route, f"unknown key {key!r}", meant.hint or None, at_key=True), (*inside, meant.key or key)


def _findings(detail: ErrorDetails, route: Route, model: type[BaseModel]) -> Iterator[Finding]:
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
    if kind == "missing":
        message = "this key is required but missing"
    elif kind == "literal_error":
        expected = str(context["expected"])
        message = f"expected {expected}, found {shown(value)}"
        near = close(str(value), expected.replace(" or ", ", ").replace("'", "").split(", "))
        hint = f"did you mean {near[0]!r}?" if near else None
    elif kind == "value_error":
        message = str(cause)
    elif kind in _EXPECTED:
        message = f"expected {_EXPECTED[kind].format(**context)}, found {shown(value)}"
        hint = _corrected(kind, route, value, model)
    else:
        said = detail["msg"]
        message = f"{said[0].lower()}{said[1:]}, found {shown(value)}"
    yield Finding(route, message, hint)


def _corrected(kind: str, route: Route, value: Any, model: type[BaseModel]) -> str | None:
    """The right way to write a value of the wrong type."""
    key = next((step for step in reversed(route) if isinstance(step, str)), "")
    if _EXPECTED[kind] == "a mapping of keys":
        known = _keys(model, route)
        return f"its keys are {', '.join(known)}" if 0 < len(known) <= _MOST_KEYS else None
    if _EXPECTED[kind] != "a list" or isinstance(value, dict):
        return None
    if isinstance(value, str) and re.match(r"-\S", value):
        return f"write `- {value[1:].split()[0]}`, with a space after the dash"
    items = [shown(value)] if not isinstance(value, str) else re.split(r", *", value.strip(" ,"))
    if len(items) == 1 and key not in _WITH_SPACES:
        items = items[0].split()
    written = ", ".join(items) if len(", ".join(items)) <= _LONGEST_EXAMPLE else "…"
    return f"write {key}: [{written}]"


_MOST_KEYS = 8
_WITH_SPACES = ("keys", "ssh_keys")
"""Lists whose items contain spaces."""
_LONGEST_EXAMPLE = 60
_TYPES = {
    "string_type": "text",
    "tuple_type": "a list",
    "list_type": "a list",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "bool_type": "true or false",
}
_EXPECTED = {
    "alternatives": "{types}",
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
        yield Problem(mark.file, line, where(finding.route, document), finding.message, hint)


def where(route: Route, document: Document) -> str:
    """A route in readable form. The number of an item is left out if the list has items of several
    files: nobody finds it by counting."""
    shown: list[str | int] = []
    for at, step in enumerate(route):
        items = document.value(route[:at])
        if isinstance(step, str) or items is None or len({item.mark.file for item in items.items}) < 2:
            shown.append(step)
    return dotted(tuple(shown))


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
