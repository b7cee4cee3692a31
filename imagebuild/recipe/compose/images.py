"""From a recipe file to its images: merges what it extends, expands its matrix, replaces its
variables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from imagebuild.errors import Problem, RecipeError
from imagebuild.recipe.compose import extends, matrix, variables
from imagebuild.recipe.compose.extends import layers
from imagebuild.recipe.compose.matrix import Matrix
from imagebuild.recipe.compose.merge import Merger
from imagebuild.recipe.compose.references import References
from imagebuild.recipe.compose.variables import Resolved, SetVariable
from imagebuild.schema.document import Document, Mark, Value, WrittenInt

MAX_TOTAL = 5_000_000
"""The limit of values in all images of a file together."""
_COMPOSING = (extends.KEY, variables.KEY, matrix.KEY)
Cell = dict[str, Value]


@dataclass(frozen=True)
class Composition:
    """A recipe file merged with all that it extends: the common part of its images."""

    file: str
    source: Path
    body: Value
    variables: Mapping[str, SetVariable]
    matrix: Matrix | None
    problems: tuple[Problem, ...]
    given: Mapping[str, str] = field(default_factory=dict)
    """Values of variables from the command line, by name."""

    @cached_property
    def _resolved(self) -> Resolved:
        return variables.resolve(self.variables)

    @cached_property
    def _overlaid(self) -> dict[tuple[str, ...], _Overlaid]:
        return {}

    def images(self) -> tuple[RecipeImage, ...]:
        """Every image.

        Raises RecipeError if the matrix is wrong or two images have the same name.
        """
        if self.matrix is None:
            return (RecipeImage(self, {}),)
        merger = Merger()
        made = tuple(RecipeImage(self, cell) for cell in matrix.cells(self.matrix, merger))
        if len(made) * self.body.size > MAX_TOTAL:
            message = f"{len(made)} images of {self.body.size} values each are more than imagebuild accepts"
            merger.report_key(Value(None, self.matrix.mark), (matrix.KEY,), message)
        if not merger.problems:
            merger.problems += _same_names(made)
        if merger.problems:
            raise RecipeError(_sorted([*self.problems, *merger.problems]))
        return made

    def overlaid(self, cell: Cell) -> _Overlaid:
        """The body and the variables, merged with the axes' overlays for ``cell``."""
        axes = self.matrix.axes if self.matrix else {}
        key = tuple(matrix.written(cell[name].data) for name, axis in axes.items() if axis.overlays is not None)
        if key not in self._overlaid:
            self._overlaid[key] = self._lay_over(cell)
        return self._overlaid[key]

    def _lay_over(self, cell: Cell) -> _Overlaid:
        merger = Merger()
        body, entries = self.body, self.variables
        axes = self.matrix.axes if self.matrix else {}
        for name, axis in axes.items():
            for overlay in (axis.overlays or {}).get(matrix.written(cell[name].data), ()):
                body = merger.merge(body, _without(overlay)).at(self.body.mark)
                section = overlay.entries.get(variables.KEY)
                for taken, value in section.entries.items() if section else ():
                    if taken in axes:
                        message = "this is an axis of the matrix, which sets its values"
                        merger.report_key(value, (variables.KEY, taken), message)
                entries = variables.declared(entries, section, merger)
        return _Overlaid(body, entries, tuple(merger.problems))

    def resolved(self, entries: Mapping[str, SetVariable]) -> Resolved:
        """The variables' values; those that are the same for every image are resolved once."""
        own = {name: entry for name, entry in entries.items() if self.variables.get(name) is not entry}
        if not own:
            return self._resolved
        common, special = self._resolved, variables.resolve(own)
        return Resolved(
            {**{name: value for name, value in common.values.items() if name not in own}, **special.values},
            {**{name: wrong for name, wrong in common.problems.items() if name not in own}, **special.problems},
        )


@dataclass(frozen=True)
class _Overlaid:
    body: Value
    variables: Mapping[str, SetVariable]
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class RecipeImage:
    """One image that a file yields. ``cell`` contains the value of each axis of its matrix."""

    composition: Composition
    cell: Cell

    @property
    def source(self) -> Path:
        """The recipe's file."""
        return self.composition.source

    @property
    def axes(self) -> dict[str, str | int | bool]:
        """The value of each axis."""
        return {name: value.data for name, value in self.cell.items()}

    @property
    def variables(self) -> frozenset[str]:
        """The names of all its variables."""
        return frozenset((*self._overlaid.variables, *self.cell))

    @cached_property
    def name(self) -> str | None:
        """The image's name, if the recipe has one that can be resolved."""
        value = self._named.entries.get("name")
        if value is None:
            return None
        references = References(self._variables.values, self._variables.problems)
        data = references.replaced(value).data
        return data if isinstance(data, str) and "${" not in data else None

    @property
    def label(self) -> str:
        """How messages name the image."""
        return self.name or "{" + ", ".join(f"{name}: {matrix.written(v.data)}" for name, v in self.cell.items()) + "}"

    def text(self, key: str) -> str:
        """The text of a top-level key, for display; empty if it cannot be resolved."""
        value = self._named.entries.get(key)
        references = References(self._variables.values, self._variables.problems)
        data = references.replaced(value).data if value else None
        return data if isinstance(data, str) else ""

    def document(self) -> Document:
        """The composed recipe of this image, including its problems. May raise RecipeError."""
        resolved = self._variables
        references = References(resolved.values, resolved.problems)
        root = references.replaced(self._named)
        if resolved.values:
            mark = next(iter(resolved.values.values())).mark
            section = Value.mapping(dict(resolved.values), Mark(self.composition.file, mark.key, mark.key))
            root = Value.mapping({**root.entries, variables.KEY: section}, root.mark)
        if excess := root.excess():
            raise RecipeError([Problem(self.composition.file, None, "", f"the composed recipe has {excess}")])
        of_variables = (problem for wrong in resolved.problems.values() for problem in wrong)
        found = (*self.composition.problems, *self._overlaid.problems, *of_variables, *references.problems)
        return Document(self.composition.file, root, found)

    @cached_property
    def _overlaid(self) -> _Overlaid:
        return self.composition.overlaid(self.cell)

    @cached_property
    def _variables(self) -> Resolved:
        entries = dict(self._overlaid.variables)
        for name, value in self.cell.items():
            entries[name] = replace(entries.get(name, SetVariable()), value=value)
        taken: dict[str, tuple[Problem, ...]] = {}
        for name, text in self.composition.given.items():
            if name in self.cell:
                message = "this variable is an axis of the matrix, which sets its values"
                hint = "name the image to build instead"
                taken[name] = (Problem(f"--var {name}", None, f"variables.{name}", message, hint),)
            elif name in entries:
                entries[name] = variables.given(name, text, entries[name])
        resolved = self.composition.resolved(entries)
        return replace(resolved, problems={**resolved.problems, **taken}) if taken else resolved

    @property
    def _named(self) -> Value:
        """The body, with the axes' values in its name."""
        body = self._overlaid.body
        name = body.entries.get("name")
        if not self.cell or name is None or not isinstance(name.data, str | WrittenInt):
            return body
        text = matrix.written(name.data)
        if "${" in text:
            return body
        text = "-".join([text, *(f"${{{axis}}}" for axis in self.cell)])
        return Value.mapping({**body.entries, "name": Value.scalar(text, name.mark)}, body.mark)


def compose(
    document: Document, source: Path, folders: Sequence[Path], given: Mapping[str, str] | None = None
) -> Composition:
    """Merge a recipe file with what it extends, which is also searched in ``folders``.

    Raises RecipeError for files that cannot be read or are not recipes; lesser problems are in the
    result.
    """
    merger = Merger()
    body: Value | None = None
    entries: Mapping[str, SetVariable] = {}
    spread: Matrix | None = None
    problems: list[Problem] = []
    for layer in layers(document, source, folders):
        assert layer.root is not None
        problems += layer.problems
        body = merger.merge(body, _without(layer.root))
        entries = variables.declared(entries, layer.root.entries.get(variables.KEY), merger)
        spread = matrix.extended(spread, layer.root.entries.get(matrix.KEY), merger)
        if excess := body.excess():
            message = f"together with what it extends, the recipe has {excess}"
            raise RecipeError([Problem(document.file, None, "", message)])
    assert body is not None
    problems += merger.problems
    return Composition(document.file, source, body, entries, spread, tuple(problems), given or {})


def _without(root: Value) -> Value:
    """A file's mapping without the keys that control how it is composed."""
    entries = root.entries
    if not any(key in entries for key in _COMPOSING):
        return root
    return Value.mapping({key: value for key, value in entries.items() if key not in _COMPOSING}, root.mark)


def _same_names(images: Sequence[RecipeImage]) -> Iterator[Problem]:
    first: dict[str, RecipeImage] = {}
    for image in images:
        if image.name is None:
            continue
        other = first.setdefault(image.name, image)
        if other is not image:
            mark = Document(image.composition.file, image.composition.body).mark(("name",))
            one, two = (", ".join(f"{k}: {matrix.written(v.data)}" for k, v in i.cell.items()) for i in (other, image))
            message = f"two images have the name {image.name!r}: {{{one}}} and {{{two}}}"
            hint = "use ${…} of every axis in the name, or of none"
            yield Problem(mark.file, mark.value, "name", message, hint)
            return


def _sorted(problems: Sequence[Problem]) -> list[Problem]:
    return sorted(dict.fromkeys(problems), key=lambda problem: (problem.file, problem.line or 0))
