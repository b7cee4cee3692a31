"""Merges one mapping over another, for files that extend each other and for the overlays of a
matrix.

Mappings are merged key by key, a list is appended to the earlier list, and a scalar replaces the
earlier value. A mapping says it when something else is meant: ``replace`` is the new list, or
``remove`` removes items, then ``prepend`` adds items at the beginning and ``append`` at the end.
Variables and the axes of a matrix are set: there, a list replaces the earlier one. Every value of
the result keeps the mark of where it was written.
"""

from __future__ import annotations

import difflib
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from imagebuild.errors import Problem
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.schema.document import Mark, Route, Value, WrittenInt, dotted
from imagebuild.schema.fields import shown
from imagebuild.schema.findings import did_you_mean, models

_REPLACE = "replace"
_PARTS = ("append", "prepend", "remove", _REPLACE)
_LISTED = "append, prepend, remove and replace"
_SET: tuple[Route, ...] = (("variables",), ("matrix",))
"""The sections whose lists are settings, which replace each other."""


class Merger:
    """Merges values and collects problems."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def merge(self, base: Value | None, over: Value, route: Route = ()) -> Value:
        """``over`` merged over ``base`` (None: there is no base), both at ``route`` of a recipe."""
        if route and is_change(over):
            return self._change(base, over, route)
        if isinstance(over.inner, tuple) and base is not None and base.items and route[:1] not in _SET:
            return self._added(base, over, route)
        if not isinstance(over.inner, dict):
            return over
        if base is not None and self._misspelt(base, over, route):
            return base
        entries = dict(base.entries) if base is not None else {}
        for key, value in over.inner.items():
            entries[key] = self.merge(entries.get(key), value, (*route, key))
        return Value.mapping(entries, over.mark)

    def _added(self, base: Value, over: Value, route: Route) -> Value:
        """The list ``base`` with the items of the list ``over`` at its end."""
        if not over.items:
            hint = f"leave the key out, or write {{{_REPLACE}: []}} for an empty list"
            self.report(over, route, "an empty list adds nothing to the list of the extended file", hint)
        return Value.sequence((*base.items, *over.items), over.mark)

    def changed(self, base: Value | None, change: Value, route: Route, default: Value | None = None) -> Value:
        """The list that results from applying ``change`` to ``base``, or to ``default`` if there is
        no base.
        """
        if base is None:
            base = default
        if base is not None and base.inner is None and base.data is None:
            base = Value.sequence((), base.mark)
        if base is None or not isinstance(base.inner, tuple):
            found = f"{shown(base.data)} ({base.mark.file}:{base.mark.value})" if base is not None else "none"
            self.report_key(change, route, f"{_LISTED} apply to a list, but this is {found}")
            return Value(None, change.mark) if base is None else base
        if _REPLACE in change.entries:
            if len(change.entries) > 1:
                message, advice = (
                    "replace must be the only key",
                    "write the whole list there, and remove the other keys",
                )
                self.report_key(change.entries[_REPLACE], (*route, _REPLACE), message, advice)
            return Value.sequence(self._part(change, _REPLACE, route), change.mark)
        kept = list(base.items)
        for at, wanted in enumerate(self._part(change, "remove", route)):
            left = [item for item in kept if not _same(item.data, wanted.data)]
            if len(left) == len(kept):
                hint = did_you_mean(_called(wanted.data), [_called(item.data) for item in kept])
                what = shown(_called(wanted.data))
                self.report(wanted, (*route, "remove", at), f"{what} is not in the list", hint)
            kept = left
        first, last = (self._part(change, name, route) for name in ("prepend", "append"))
        return Value.sequence((*first, *kept, *last), change.mark)

    def _change(self, base: Value | None, change: Value, route: Route) -> Value:
        default = None if base is not None else _default(route, change.mark)
        return self.changed(base, change, route, default)

    def _part(self, change: Value, name: str, route: Route) -> tuple[Value, ...]:
        part = change.entries.get(name)
        if part is None or (part.inner is None and part.data is None):
            return ()
        if not isinstance(part.inner, tuple):
            self.report(part, (*route, name), f"expected a list, found {shown(part.data)}")
        return part.items

    def _misspelt(self, base: Value, over: Value, route: Route) -> bool:
        """Whether ``over``, which replaces a list, is a misspelt change of that list."""
        before = len(self.problems)
        if not isinstance(base.inner, tuple):
            return False
        for key, value in over.entries.items():
            near = key not in _PARTS and difflib.get_close_matches(key, _PARTS, n=1, cutoff=0.6)
            if key not in _PARTS and (near or any(part in over.entries for part in _PARTS)):
                hint = f"did you mean {near[0]!r}?" if near else "no other key is allowed next to these"
                self.report_key(value, (*route, key), f"use {_LISTED} to change a list", hint)
        return len(self.problems) > before

    def report(self, at: Value, route: Route, message: str, hint: str | None = None) -> None:
        """Record a problem with a value."""
        self._report(at.mark.value, at, route, message, hint)

    def report_key(self, at: Value, route: Route, message: str, hint: str | None = None) -> None:
        """Record a problem with the key of a value."""
        self._report(at.mark.key, at, route, message, hint)

    def _report(self, line: int, at: Value, route: Route, message: str, hint: str | None) -> None:
        self.problems.append(Problem(at.mark.file, line, dotted(route), message, hint))


def is_change(value: Value) -> bool:
    """Whether a value changes a list: it has ``append``, ``prepend``, ``remove`` or ``replace``, and
    no other keys.
    """
    return isinstance(value.inner, dict) and bool(value.inner) and all(key in _PARTS for key in value.inner)


def _called(item: Any) -> str:
    """The name of a list item: its text, its only key (an operation with parameters), or its
    ``name``.
    """
    if isinstance(item, dict):
        if len(item) == 1:
            return str(next(iter(item)))
        return _called(item["name"]) if not isinstance(item.get("name", []), dict | list) else "this mapping"
    if isinstance(item, WrittenInt):
        return item.written
    return shown(item) if isinstance(item, bool | list) or item is None else str(item)


def _same(item: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict | list):
        return bool(item == wanted)
    return _called(item) == _called(wanted)


def _default(route: Route, mark: Mark) -> Value | None:
    """The model's default list at ``route``; None if there is no list in the model."""
    model: type[BaseModel] | None = Recipe
    for step in route[:-1]:
        field = model.model_fields.get(str(step)) if model else None
        model = next(models(field.annotation), None) if field else None
    field = model.model_fields.get(str(route[-1])) if model else None
    if field is None:
        return Value.sequence((), mark)  # the model will report the unknown key
    if not _is_list(field.annotation):
        return None
    default = field.get_default(call_default_factory=True, validated_data={})
    return Value.of(list(default) if isinstance(default, tuple) else [], mark)


def _is_list(annotation: Any) -> bool:
    if get_origin(annotation) is Annotated:
        return _is_list(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return any(_is_list(inner) for inner in get_args(annotation))
    return get_origin(annotation) in (tuple, list)
