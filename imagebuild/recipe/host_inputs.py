"""Resolves the names in operations' parameters: files, relative to the file that names them, and
secrets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from imagebuild.customise import host_inputs
from imagebuild.customise.host_inputs import HostPath
from imagebuild.customise.operation import OperationCall
from imagebuild.errors import HostError, Problem, RecipeError
from imagebuild.recipe import named_references
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.recipe.secrets import Secrets
from imagebuild.schema.document import Mark, Route, dotted
from imagebuild.schema.section import KeysRef, SecretRef

Place = Callable[[Route], Mark]
"""Returns where a parameter is written."""


def planned(recipe: Recipe) -> tuple[OperationCall, ...]:
    """The recipe's operations with the files that they name.

    Raises RecipeError with all missing files.
    """
    problems = list(missing(recipe))
    if problems:
        raise RecipeError(problems)
    return tuple(with_paths(call, _place(recipe, at, call)) for at, call in enumerate(recipe.all_operations))


def missing(recipe: Recipe) -> Iterator[Problem]:
    """Problems of files that operations name: missing files, and files that cannot be read."""
    for at, call in enumerate(recipe.operations):
        try:
            with_paths(call, _place(recipe, at, call), lambda path: str(len(host_inputs.entries(path))))
        except RecipeError as error:
            yield from error.problems


def opened(recipe: Recipe, calls: Sequence[OperationCall], secrets: Secrets) -> tuple[OperationCall, ...]:
    """``calls``, as returned by ``planned`` for this recipe, with the secrets they name.

    Raises RecipeError.
    """
    return tuple(with_secrets(call, _place(recipe, at, call), secrets) for at, call in enumerate(calls))


def has_secrets(recipe: Recipe) -> bool:
    """Whether the recipe puts a secret into its image.

    Public keys are not secrets, wherever they come from.
    """
    named = [
        *named_references.of_recipe(recipe),
        *(one for call in recipe.operations for one in named_references.of_params(call.params)),
    ]
    return any(
        isinstance(ref, SecretRef) and not isinstance(ref, KeysRef) and "ssh_keys" not in route for route, ref in named
    )


def with_paths(call: OperationCall, place: Place, look: Callable[[Path], str] = host_inputs.digest) -> OperationCall:
    """``call`` with the path of each file and folder that it names, and the result of ``look`` for
    it.

    Raises RecipeError.
    """
    found: dict[str, tuple[str, str]] = {}
    problems = []
    for route, name in named_references.of_params(call.params):
        if not isinstance(name, HostPath):
            continue
        at = place(route)
        path = Path(at.file).parent.absolute() / Path(name).expanduser()
        try:
            found[name] = (str(path), look(path))
        except HostError as error:
            problems.append(Problem(at.file, at.value, _where(call, route), error.message))
        except OSError as error:
            message = f"{error.filename or path} cannot be read: {error.strerror}"
            problems.append(Problem(at.file, at.value, _where(call, route), message))
    if problems:
        raise RecipeError(problems)
    return call if found == call.supplies.paths else replace(call, supplies=replace(call.supplies, paths=found))


def with_secrets(call: OperationCall, place: Place, secrets: Secrets) -> OperationCall:
    """``call`` with the values of its references to secrets. Raises RecipeError."""
    found: dict[str, tuple[str, ...]] = {}
    for route, ref in named_references.of_params(call.params):
        if isinstance(ref, KeysRef):
            found[str(ref)] = secrets.ssh_keys(ref, place(route))
        elif not isinstance(ref, HostPath):
            found[str(ref)] = (secrets.password_hash(ref, place(route)),)
    return call if found == call.supplies.secrets else replace(call, supplies=replace(call.supplies, secrets=found))


def _place(recipe: Recipe, at: int, call: OperationCall) -> Place:
    return lambda route: recipe.place(("operations", at, call.name, *route))


def _where(call: OperationCall, route: Route) -> str:
    return dotted((call.name, *route))
