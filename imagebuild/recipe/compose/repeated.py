"""Operations that a recipe repeats although a file that it extends has them: what a recipe looks
like that was written to replace the list.
"""

from __future__ import annotations

from collections.abc import Iterator

from imagebuild.errors import Problem
from imagebuild.schema.document import Document, Mark, Route, Value
from imagebuild.schema.findings import already_in, where

_KEY = "operations"


def repeated(document: Document) -> Iterator[Problem]:
    """A problem for each operation without parameters that another file has already listed.

    Once is enough for such an operation; one with parameters may be meant to be applied twice.
    """
    found = document.value((_KEY,))
    first: dict[str, Mark] = {}
    for at, item in enumerate(found.items if found else ()):
        name = _without_parameters(item)
        if name is None:
            continue
        there = first.setdefault(name, item.mark)
        if there.file != item.mark.file:
            route: Route = (_KEY, at)
            message = f"{name!r} is listed twice"
            yield Problem(item.mark.file, item.mark.value, where(route, document), message, already_in(there, route))


def _without_parameters(item: Value) -> str | None:
    if isinstance(item.data, str):
        return item.data
    if isinstance(item.data, dict) and len(item.data) == 1:
        ((name, params),) = item.data.items()
        return name if params is None else None
    return None
