"""What a recipe and its operations refer to: files of this host, and secrets.

``imagebuild.customise.host_inputs`` finds it. Here it is found once for what the images of a matrix
share.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from imagebuild.customise import host_inputs
from imagebuild.customise.host_inputs import Reference
from imagebuild.customise.operation import Params
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.schema.by_identity import by_identity
from imagebuild.schema.document import Route

References = tuple[tuple[Route, Reference], ...]


def of_recipe(recipe: Recipe) -> Iterator[tuple[Route, Reference]]:
    """The references in a recipe's sections, with the route to each; without those of its operations."""
    for name in type(recipe).model_fields:
        value = getattr(recipe, name)
        if isinstance(value, BaseModel):
            yield from (((name, *route), reference) for route, reference in _of_section(value))
        elif value and isinstance(value, tuple):
            yield from host_inputs.references(value, (name,))


@by_identity
def of_params(params: Params) -> References:
    """The references in an operation's parameters, with the route to each."""
    return tuple(host_inputs.references(params))


@by_identity
def _of_section(section: Any) -> References:
    return tuple(host_inputs.references(section))
