"""From a name or a path to a checked recipe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from imagebuild.errors import Problem, RecipeError
from imagebuild.recipe import reader
from imagebuild.recipe.document import Document
from imagebuild.recipe.findings import findings, problems
from imagebuild.recipe.model import Recipe
from imagebuild.recipe.search import find, recipe_folders


def load(path_or_name: str | Path, *, search: Sequence[Path] | None = None) -> Recipe:
    """Load and check one recipe.

    A ``Path``, or text with a ``/`` or ending in ``.yaml``, is a file; any other text is looked up in ``search``
    (default: ``./recipes``, then the shipped recipes). Raises RecipeError with all problems of the file, each with
    its line, and UsageError when there is no recipe of that name.
    """
    path = path_or_name
    if isinstance(path, str):
        path = find(path, recipe_folders() if search is None else search)
    return validate(reader.read(path), path)


def validate(document: Document, source: Path) -> Recipe:
    """Check what a document says against the model. Raises RecipeError with everything that is wrong."""
    found = list(document.problems)
    if not isinstance(document.data, dict):
        if not found:
            what = "the file is empty" if document.data is None else "expected a mapping of keys"
            found.append(Problem(document.file, 1, "", f"{what}: a recipe begins with `name:`"))
        raise RecipeError(found)
    try:
        recipe = Recipe.model_validate(document.data)
    except ValidationError as error:
        found += problems(findings(error, Recipe), document)
        found.sort(key=lambda problem: (problem.file, problem.line or 0))
        raise RecipeError(found) from error
    if found:
        raise RecipeError(found)
    return recipe.attach(document, source)
