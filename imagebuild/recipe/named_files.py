"""Files of this host that a recipe names and a build will read: those that are missing or unusable.

The files of operations are in ``host_inputs``. Secrets are not looked at: lint needs none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from imagebuild.errors import Problem, RecipeError
from imagebuild.recipe import named_references
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.recipe.secrets import RealSecrets
from imagebuild.schema.document import Route, dotted
from imagebuild.schema.findings import where
from imagebuild.schema.section import KeysRef, SecretRef

_SOURCE: Route = ("installer", "source")
_PLACES = ("tree", "iso", "kernel", "initrd", "stage2", "checksums", "signature")


def missing(recipe: Recipe) -> Iterator[Problem]:
    """A problem for each file of public SSH keys that cannot be used, and for each part of the
    install source that is a path without a file.
    """
    yield from _keys(recipe)
    yield from _source(recipe)


def _keys(recipe: Recipe) -> Iterator[Problem]:
    """Problems of files with public keys, of the accounts and of operations."""
    named = list(named_references.of_recipe(recipe))
    for at, call in enumerate(recipe.operations):
        inner = ("operations", at, call.name)
        named += [((*inner, *route), ref) for route, ref in named_references.of_params(call.params)]
    for route, ref in named:
        if isinstance(ref, SecretRef) and ref.file and (isinstance(ref, KeysRef) or "ssh_keys" in route):
            try:
                RealSecrets({}).ssh_keys(ref, recipe.place(route))
            except RecipeError as error:
                yield from (replace(problem, where=where(route, recipe.document)) for problem in error.problems)


def _source(recipe: Recipe) -> Iterator[Problem]:
    source = recipe.installer.source
    for key in _PLACES if source else ():
        value = getattr(source, key)
        if value is None or "://" in value:
            continue
        mark = recipe.place((*_SOURCE, key))
        path = Path(mark.file).absolute().parent / Path(value).expanduser()
        try:
            path.stat()
        except OSError as error:
            message = f"{path} cannot be read: {error.strerror}"
            yield Problem(mark.file, mark.value, dotted((*_SOURCE, key)), message)
