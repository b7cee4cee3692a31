"""A recipe's matrix: axes of values. Each combination of values is an image."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

from imagebuild.recipe.compose.merge import Merger, is_change
from imagebuild.recipe.yaml.reader import scalar
from imagebuild.schema.document import Mark, Route, Value, WrittenInt
from imagebuild.schema.fields import shown
from imagebuild.schema.findings import did_you_mean

KEY = "matrix"
MAX_IMAGES = 10_000
MAX_AXES = 16
MAX_CONDITIONS = 500
"""The limit of entries in include and in exclude; each entry is compared with every image."""
_INCLUDE, _EXCLUDE = "include", "exclude"


@dataclass(frozen=True)
class Axis:
    """One axis.

    ``overlays`` are what is merged over the recipe for each value, the most general file's first.
    """

    mark: Mark
    values: dict[str, Value] = field(default_factory=dict)
    overlays: dict[str, tuple[Value, ...]] | None = None


@dataclass(frozen=True)
class Matrix:
    """The matrix after all files of a recipe are merged."""

    mark: Mark
    axes: dict[str, Axis] = field(default_factory=dict)
    include: Value | None = None
    exclude: Value | None = None


Cell = tuple[str, ...]
"""The value of every axis, as written: the key of Axis.values, or a value from an include."""


def extended(known: Matrix | None, section: Value | None, merger: Merger) -> Matrix | None:
    """``known`` extended with the matrix of one more file."""
    if section is None:
        return known
    if not isinstance(section.inner, dict):
        if section.data is not None:
            merger.report(section, (KEY,), f"expected a mapping of axes, found {shown(section.data)}")
        return None
    matrix = replace(known, mark=section.mark) if known else Matrix(section.mark)
    axes = dict(matrix.axes)
    for name, said in section.inner.items():
        if name == _INCLUDE:
            matrix = replace(matrix, include=merger.merge(matrix.include, said, (KEY, name)))
        elif name == _EXCLUDE:
            matrix = replace(matrix, exclude=merger.merge(matrix.exclude, said, (KEY, name)))
        else:
            axes[name] = _axis(axes.get(name), said, merger, (KEY, name))
    return replace(matrix, axes=axes)


def _axis(known: Axis | None, said: Value, merger: Merger, route: Route) -> Axis:
    if is_change(said) and any(isinstance(part.inner, tuple) for part in said.entries.values()):
        plain = known is not None and known.overlays is None
        base = Value.sequence(tuple(known.values.values()), known.mark) if known and plain else None
        said = merger.changed(base, said, route)
    if isinstance(said.inner, tuple):
        return Axis(said.mark, _listed(said, merger, route))
    if not isinstance(said.inner, dict):
        merger.report(said, route, f"expected a list of values, or a mapping of values, found {shown(said.data)}")
        return Axis(said.mark)
    overlays = dict(known.overlays) if known and known.overlays is not None else {}
    values = dict(known.values) if known and known.overlays is not None else {}
    for key, overlay in said.inner.items():
        values[key] = Value.scalar(scalar(key), Mark(overlay.mark.file, overlay.mark.key, overlay.mark.key))
        overlays[key] = (*overlays.get(key, ()), *_overlay(overlay, merger, (*route, key)))
        if values[key].data is None:
            merger.report_key(overlay, (*route, key), f"expected a value of the axis, found {key!r}")
    return Axis(said.mark, values, overlays)


def _overlay(overlay: Value, merger: Merger, route: Route) -> Iterator[Value]:
    if isinstance(overlay.inner, dict):
        for key in ("extends", KEY):
            if key in overlay.inner:
                merger.report_key(overlay.inner[key], (*route, key), f"{key} is not allowed in an axis")
        yield Value.mapping({k: v for k, v in overlay.inner.items() if k not in ("extends", KEY)}, overlay.mark)
    elif overlay.data is not None:
        message = f"expected the keys of a recipe that this value changes, found {shown(overlay.data)}"
        merger.report(overlay, route, message)


def _listed(section: Value, merger: Merger, route: Route) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for at, item in enumerate(section.items):
        if item.inner is not None or item.data is None:
            merger.report(item, (*route, at), f"expected text, a number or a boolean, found {shown(item.data)}")
        elif written(item.data) in values:
            merger.report(item, (*route, at), f"{written(item.data)!r} is listed twice", "remove one of the two")
        else:
            values[written(item.data)] = item
    return values


def written(data: Any) -> str:
    """A scalar as text."""
    if isinstance(data, bool):
        return str(data).lower()
    return data.written if isinstance(data, WrittenInt) else str(data)


def cells(matrix: Matrix, merger: Merger) -> list[dict[str, Value]]:
    """Every combination of the axes that is an image: the value of each axis by its name."""
    route: Route = (KEY,)
    at = Value(None, matrix.mark)
    if not matrix.axes:
        merger.report_key(at, route, "a matrix needs at least one axis")
        return []
    for name, axis in matrix.axes.items():
        if not axis.values:
            merger.report_key(Value(None, axis.mark), (*route, name), "an axis needs at least one value")
    if len(matrix.axes) > MAX_AXES:
        merger.report_key(at, route, f"{len(matrix.axes)} axes, but at most {MAX_AXES} are allowed")
        return []
    count = math.prod(len(axis.values) for axis in matrix.axes.values())
    if count > MAX_IMAGES:
        merger.report_key(at, route, f"this yields {count} images, but at most {MAX_IMAGES} are allowed")
        return []
    made = {
        tuple(written(value.data) for value in values): dict(zip(matrix.axes, values, strict=True))
        for values in product(*(axis.values.values() for axis in matrix.axes.values()))
    }
    excluded = [cell for cell, _ in _conditions(matrix, matrix.exclude, _EXCLUDE, merger, made)]
    left = {cell: values for cell, values in made.items() if not any(_fits(values, wanted) for wanted in excluded)}
    for values, entry in _conditions(matrix, matrix.include, _INCLUDE, merger, left):
        left[tuple(written(value.data) for value in values.values())] = values
        if len(left) > MAX_IMAGES:
            merger.report_key(entry, (KEY, _INCLUDE), f"this yields more than {MAX_IMAGES} images")
            break
    if count and not left and not merger.problems:
        merger.report_key(at, route, "this matrix yields no image", "exclude removes every image")
    return list(left.values())


def _fits(values: dict[str, Value], wanted: dict[str, Value]) -> bool:
    return all(written(values[name].data) == written(value.data) for name, value in wanted.items())


def _conditions(
    matrix: Matrix, section: Value | None, key: str, merger: Merger, made: dict[Cell, dict[str, Value]]
) -> Iterator[tuple[dict[str, Value], Value]]:
    """The valid entries of include or exclude, with their values in the order of the axes."""
    if section is None or section.data is None:
        return
    if not isinstance(section.inner, tuple):
        merger.report(section, (KEY, key), f"expected a list of combinations, found {shown(section.data)}")
        return
    if len(section.items) > MAX_CONDITIONS:
        merger.report(
            section, (KEY, key), f"expected at most {MAX_CONDITIONS} combinations, found {len(section.items)}"
        )
        return
    for at, entry in enumerate(section.items):
        route: Route = (KEY, key, at)
        before = len(merger.problems)
        if not isinstance(entry.inner, dict) or not entry.inner:
            merger.report(entry, route, f"expected a mapping of axes to values, found {shown(entry.data)}")
            continue
        for name, value in entry.inner.items():
            _check(matrix, name, value, merger, (*route, name), included=key == _INCLUDE)
        values = {name: entry.inner[name] for name in matrix.axes if name in entry.inner}
        if len(merger.problems) > before:
            continue
        if key == _EXCLUDE:
            if not any(_fits(cell, values) for cell in made.values()):
                merger.report_key(entry, route, "this excludes nothing", "no combination of the axes matches")
                continue
        elif absent := [name for name in matrix.axes if name not in values]:
            message = f"an additional image needs a value for every axis; missing: {', '.join(absent)}"
            merger.report_key(entry, route, message)
            continue
        elif tuple(written(value.data) for value in values.values()) in made:
            merger.report_key(entry, route, "this combination already exists", "remove one of the two")
            continue
        yield values, entry


def _check(matrix: Matrix, name: str, value: Value, merger: Merger, route: Route, *, included: bool) -> None:
    """Report the problems of one value of an include or exclude."""
    axis = matrix.axes.get(name)
    if axis is None:
        merger.report_key(value, route, f"there is no axis {name!r}", did_you_mean(name, matrix.axes))
    elif value.inner is not None or value.data is None:
        merger.report(value, route, f"expected a value of the axis, found {shown(value.data)}")
    elif written(value.data) not in axis.values and not (included and axis.overlays is None):
        hint = did_you_mean(written(value.data), axis.values)
        merger.report(value, route, f"{written(value.data)!r} is not a value of the axis {name}", hint)
