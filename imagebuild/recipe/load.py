"""From a name or a path to checked recipes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from imagebuild.errors import Problem, RecipeError, UsageError
from imagebuild.recipe.catalogue import images_called, images_of
from imagebuild.recipe.compose.images import RecipeImage, compose
from imagebuild.recipe.compose.repeated import repeated
from imagebuild.recipe.folders import is_path, recipe_folders
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.schema.by_identity import ByIdentity
from imagebuild.schema.document import Document, Value
from imagebuild.schema.findings import Finding, findings, problems


def load(
    path_or_name: str | Path, *, search: Sequence[Path] | None = None, given: Mapping[str, str] | None = None
) -> Recipe:
    """Load and check the recipe of one image.

    A ``Path``, or text with a ``/`` or ending in ``.yaml``, is a file; any other text is the name
    of a file in ``search`` (default: ``./recipes``, then the shipped recipes), or of an image that
    one of them yields. ``given`` are values of variables by name, as on the command line; names
    that a recipe does not have are ignored. Raises RecipeError with all problems, each with its
    file and line, and UsageError if there is no recipe of that name or the file yields several
    images.
    """
    return checked(one_image(path_or_name, search=search, given=given))


def one_image(
    path_or_name: str | Path, *, search: Sequence[Path] | None = None, given: Mapping[str, str] | None = None
) -> RecipeImage:
    """The image that ``load`` would load, composed but not checked."""
    return _only(select(path_or_name, search=search, given=given), str(path_or_name))


def load_all(
    path_or_name: str | Path,
    *,
    search: Sequence[Path] | None = None,
    given: Mapping[str, str] | None = None,
    only: Collection[str] = (),
) -> list[Recipe]:
    """Load and check the recipes of all images that a file yields, or of the one image of that
    name.

    Arguments and errors are those of ``load``, except that several images are not an error. If
    ``only`` is not empty, only the images with these names are loaded.
    """
    images = select(path_or_name, search=search, given=given)
    return checked_all([image for image in images if not only or image.name in only])


def checked_all(images: Sequence[RecipeImage]) -> list[Recipe]:
    """The recipes of several images. Raises RecipeError; each problem is reported once."""
    recipes: list[Recipe] = []
    found: dict[Problem, list[str]] = {}
    for image in images:
        try:
            recipes.append(checked(image))
        except RecipeError as error:
            for problem in error.problems:
                found.setdefault(problem, []).append(image.label)
    if found:
        raise RecipeError(_sorted(_in_images(problem, names, len(images)) for problem, names in found.items()))
    return recipes


def select(
    path_or_name: str | Path, *, search: Sequence[Path] | None = None, given: Mapping[str, str] | None = None
) -> tuple[RecipeImage, ...]:
    """The images that ``load_all`` would load, composed but not checked."""
    folders = recipe_folders() if search is None else search
    if isinstance(path_or_name, Path) or is_path(path_or_name):
        return images_of(Path(path_or_name), folders, given)
    return images_called(path_or_name, folders, given)


def validate(document: Document, source: Path) -> Recipe:
    """The recipe in a document whose file is ``source``. Raises RecipeError with all problems."""
    return checked(_only(compose(document, source, ()).images(), str(source)))


def checked(image: RecipeImage) -> Recipe:
    """The recipe of an image, checked against the model. Raises RecipeError with all problems."""
    document = image.document()
    found = [*document.problems, *repeated(document)]
    try:
        recipe = Recipe.model_validate(_with_sections(document))
    except ValidationError as error:
        from imagebuild.recipe.other_words import meant  # most recipes have no unknown words

        wrong = (one for one in findings(error, Recipe, meant) if not (found and _is_open(document, one)))
        found += problems(wrong, document)
        raise RecipeError(_sorted(found)) from error
    if found:
        raise RecipeError(_sorted(found))
    _keep_sections(document, recipe)
    return recipe.attach(document, image.source)


_ALONE = ("name", "description", "variables", "os", "installer")
"""Keys that are validated for each image: most differ, and validators of the whole recipe look at others."""
_validated = {name: ByIdentity[Value, Any]() for name in Recipe.model_fields if name not in _ALONE}
"""What the values of the other keys were validated to. A validator takes what it has returned as it is, and
the images of a matrix share most of their values, as do recipes that extend the same files.
"""


def _with_sections(document: Document) -> Any:
    """The document as a plain value, with the sections that are already validated."""
    if document.root is None or not isinstance(document.root.inner, dict):
        return document.data
    data = dict(document.root.data)
    for key, value in document.root.inner.items():
        if key in _validated and (found := _validated[key].get(value)):
            data[key] = found[1]
    return data


def _keep_sections(document: Document, recipe: Recipe) -> None:
    for key, value in document.root.entries.items() if document.root else ():
        if key in _validated:
            _validated[key].keep(value, getattr(recipe, key))


def _is_open(document: Document, finding: Finding) -> bool:
    """Whether a value is wrong only because of an unresolved reference, which is already reported."""
    value = document.value(finding.route)
    return value is not None and isinstance(value.data, str) and "${" in value.data


def _only(images: Sequence[RecipeImage], name: str) -> RecipeImage:
    if len(images) == 1:
        return images[0]
    names = [image.name or "?" for image in images]
    known = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    message = f"{name} yields {len(images)} images, but exactly one is needed here"
    raise UsageError(message, f"name one of them: {known}")


def _in_images(problem: Problem, names: Sequence[str], images: int) -> Problem:
    if len(names) == images:
        return problem
    others = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return replace(problem, message=f"{problem.message} (in image {names[0]}{others})")


def _sorted(found: Iterator[Problem] | Sequence[Problem]) -> list[Problem]:
    return sorted(dict.fromkeys(found), key=lambda problem: (problem.file, problem.line or 0))
