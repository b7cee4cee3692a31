"""What is meant by an unknown key of a recipe: a word of another tool, or a key in the wrong place.

Called only for recipes with unknown keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel

from imagebuild.migration import words
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.schema.document import Route, dotted
from imagebuild.schema.findings import Meant, close, models


def meant(route: Route, value: Any, known: Sequence[str], missing: Sequence[str]) -> Meant | None:
    """A Guess (see schema.findings) for the keys of a recipe."""
    key = str(route[-1])
    found = words.key(route, value, known, missing)
    if found is not None:
        return found
    elsewhere = [dotted(place) for place in _places(Recipe, ()) if place[-1] == key and place != route]
    if 0 < len(elsewhere) <= _MOST:
        return Meant(f"this key belongs elsewhere: {' or '.join(elsewhere)}")
    if len(route) == 1 and key in words.operations():
        return Meant(f"this is an operation: list it under `operations:` as `- {key}: …`")
    if len(route) > 1 or close(key, known):
        return None
    theirs = words.counterpart(key)
    return Meant(theirs) if theirs else None


_MOST = 3
"""The most places that a message names."""


def _places(model: type[BaseModel], route: Route) -> Iterator[Route]:
    """The routes of all keys in sections; not of those in lists."""
    for name, field in model.model_fields.items():
        yield (*route, name)
        inner = next(models(field.annotation), None)
        if inner is not None and "tuple" not in str(field.annotation):
            yield from _places(inner, (*route, name))
