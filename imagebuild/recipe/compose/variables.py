"""A recipe's variables: their declarations and their final values."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pydantic import Field, ValidationError

from imagebuild.errors import Problem
from imagebuild.recipe.compose.merge import Merger, is_change
from imagebuild.schema import fields as f
from imagebuild.schema.document import Document, Mark, Route, Value, WrittenInt
from imagebuild.schema.findings import Finding, Refused, findings, problems
from imagebuild.schema.section import Section

KEY = "variables"
Type = Literal["text", "number", "boolean", "list"]
_EXPECTED = {"text": "text", "number": "a whole number", "boolean": "true or false", "list": "a list of text values"}


class Declaration(Section):
    """The declaration of a variable, in the long form that is not just a value."""

    type: Type | None = Field(None, description="Type of the value.")
    default: Any = Field(None, description="Value if none is set; without a default, a value must be set.")
    choices: tuple[Any, ...] | None = Field(None, description="The allowed values.")
    description: f.Text = Field("", description="Description of the variable, in one line.")


@dataclass(frozen=True)
class SetVariable:
    """A variable after all files of a recipe are merged: its declaration and the value that was
    set.
    """

    declaration: Value | None = None
    value: Value | None = None

    @property
    def mark(self) -> Mark:
        """The best place to report a problem with the variable."""
        said = self.declaration or self.value
        assert said is not None
        return said.mark

    def part(self, name: str) -> Value | None:
        """A key of the declaration, if it has a value."""
        found = self.declaration.entries.get(name) if self.declaration else None
        return None if found is None or found.data is None else found

    @property
    def type(self) -> Type | None:
        """The declared type, or the type of the default, of the value, or of the first choice."""
        declared = self.part("type")
        if declared is not None:
            return declared.data if declared.data in _EXPECTED else None
        choices = self.part("choices")
        for hint in (self.part("default"), self.value, *(choices.items[:1] if choices else ())):
            if hint is not None:
                return type_of(hint.data)
        return None


def type_of(data: Any) -> Type | None:
    """The type of a plain value."""
    if isinstance(data, bool):
        return "boolean"
    if isinstance(data, int):
        return "number"
    return "list" if isinstance(data, list | tuple) else "text" if isinstance(data, str) else None


def declared(
    known: Mapping[str, SetVariable], section: Value | None, merger: Merger, route: Route = (KEY,)
) -> Mapping[str, SetVariable]:
    """``known`` extended with the variables section of one more file."""
    if section is None:
        return known
    if not isinstance(section.inner, dict):
        if section.data is not None:
            merger.report(section, route, f"expected a mapping of keys, found {f.shown(section.data)}")
        return {}
    entries = dict(known)
    for name, said in section.inner.items():
        before = entries.get(name, SetVariable())
        if is_change(said):
            base = before.value or before.part("default")
            entries[name] = replace(before, value=merger.changed(base, said, (*route, name)))
        elif isinstance(said.inner, dict):
            entries[name] = replace(before, declaration=merger.merge(before.declaration, said, (*route, name)))
        else:
            takes_back = said.data is None and before.declaration is not None
            entries[name] = replace(before, value=None if takes_back else said)
    return entries


@dataclass(frozen=True)
class Resolved:
    """The variables' values by name, and the problems of those without a value."""

    values: dict[str, Value] = field(default_factory=dict)
    problems: dict[str, tuple[Problem, ...]] = field(default_factory=dict)


def resolve(entries: Mapping[str, SetVariable]) -> Resolved:
    """The value of every variable, checked against its type."""
    found = Resolved()
    for name, entry in entries.items():
        try:
            found.values[name] = _resolve(name, entry)
        except Refused as refused:
            found.problems[name] = tuple(_problems_of(name, entry, refused.findings))
    return found


def _problems_of(name: str, entry: SetVariable, wrong: Iterable[Finding]) -> Iterable[Problem]:
    at = Mark(entry.mark.file, 1, 1)
    inner = Value.mapping({name: entry.declaration or Value(None, entry.mark)}, at)
    document = Document(at.file, Value.mapping({KEY: inner}, at))
    for finding in wrong:
        if finding.route[:1] == ("=",):
            assert entry.value is not None
            mark = entry.value.mark
            yield Problem(mark.file, mark.value or None, f"{KEY}.{name}", finding.message, finding.hint)
        else:
            yield from problems([replace(finding, route=(KEY, name, *finding.route))], document)


def _resolve(name: str, entry: SetVariable) -> Value:
    """Raises Refused; the route ("=",) means the value that was set."""
    if entry.declaration is not None:
        try:
            Declaration.model_validate(entry.declaration.data)
        except ValidationError as error:
            raise Refused(findings(error, Declaration)) from error
    wanted = entry.type
    allowed = _allowed(entry.part("choices"), "text" if wanted == "list" else wanted)
    values = [
        _chosen(_typed(value, wanted, route), allowed, route)
        for value, route in ((entry.part("default"), ("default",)), (entry.value, ("=",)))
        if value is not None
    ]
    if not values:
        hint = f"set it where this file is extended, or with --var {name}=…"
        raise Refused([Finding((), "this variable has no value", hint, at_key=True)])
    return values[-1]


def _typed(value: Value, wanted: Type | None, route: Route) -> Value:
    """``value`` as a value of the type; for text, a number is taken as it was written."""
    if wanted == "text" and isinstance(value.data, WrittenInt):
        return Value.scalar(value.data.written, value.mark)
    if wanted is not None and type_of(value.data) != wanted:
        raise Refused([Finding(route, f"expected {_EXPECTED[wanted]}, found {f.shown(value.data)}")])
    try:
        f.variable(value.data)
    except ValueError as error:
        raise Refused([Finding(route, str(error))]) from error
    return value


def _allowed(choices: Value | None, wanted: Type | None) -> list[str] | None:
    """The choices as they are shown in messages, each checked against the type."""
    if choices is None:
        return None
    return [f.shown(_typed(one, wanted, ("choices", at)).data) for at, one in enumerate(choices.items)]


def _chosen(value: Value, allowed: list[str] | None, route: Route) -> Value:
    """``value``, if it is one of the choices, or a list whose items all are."""
    for data in value.data if isinstance(value.data, list) else [value.data]:
        if allowed is not None and f.shown(data) not in allowed:
            near = difflib.get_close_matches(str(data), [one.strip("'") for one in allowed], n=1)
            expected = " or ".join(filter(None, (", ".join(allowed[:-1]), allowed[-1] if allowed else "nothing")))
            hint = f"did you mean {near[0]!r}?" if near else None
            raise Refused([Finding(route, f"expected {expected}, found {f.shown(data)}", hint)])
    return value


def given(name: str, text: str, entry: SetVariable) -> SetVariable:
    """``entry`` with the value from the command line, parsed according to the variable's type.

    List items are separated by commas. Text that does not fit the type stays text and is rejected
    when it is resolved.
    """
    data: Any = text
    if entry.type == "number" and re.fullmatch(r"-?[0-9]{1,40}", text):
        data = WrittenInt(int(text), text)
    elif entry.type == "boolean" and text in ("true", "false"):
        data = text == "true"
    elif entry.type == "list":
        data = text.split(",") if text else []
    return replace(entry, value=Value.of(data, Mark(f"--var {name}", 0, 0)))
