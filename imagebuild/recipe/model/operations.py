"""The operations of a recipe: names, or names with parameters, checked by the operation's own
model.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any

from imagebuild.customise import registry
from imagebuild.customise.operation import OperationCall
from imagebuild.recipe.model.named import NamedKind


@cache
def _without_params(name: str) -> OperationCall:
    return registry.call(name)


def _call(name: str, params: Mapping[str, Any]) -> OperationCall:
    return registry.call(name, params) if params else _without_params(name)


_KIND = NamedKind(
    word="operation",
    listed="imagebuild operations list",
    names=registry.names,
    params_model=registry.params_model,
    summary=lambda name: registry.get(name).summary,
    call=_call,
)
Operation = Annotated[OperationCall, *_KIND.annotations]
