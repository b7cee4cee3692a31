"""From the file ``imagebuild.yaml`` to a checked project."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from imagebuild.errors import Problem, RecipeError
from imagebuild.project.file import FILE, is_there
from imagebuild.project.groups import conflicts
from imagebuild.project.model import Project
from imagebuild.recipe.yaml.reader import read
from imagebuild.schema.document import Document
from imagebuild.schema.findings import Finding, findings, problems


def load(path: Path | None = None) -> Project:
    """The project of a file; None is ``./imagebuild.yaml``, which need not exist.

    Raises RecipeError with all problems, each with its file and line. A ``path`` must exist.
    """
    file = Path(FILE) if path is None else path
    if path is None and not is_there():
        return Project().missing(file)
    return validate(read(file), file)


def validate(document: Document, path: Path) -> Project:
    """The project in a document whose file is ``path``. Raises RecipeError with all problems."""
    data = {} if document.data is None else document.data
    found = list(document.problems)
    try:
        project = Project.model_validate(data)
    except ValidationError as error:
        wrong = [*findings(error, Project), *_conflicts(data)]
        found += problems(dict.fromkeys(wrong), document)
        raise RecipeError(_sorted(found)) from error
    if found:
        raise RecipeError(_sorted(found))
    return project.attach(document, path)


def _conflicts(data: Any) -> Iterator[Finding]:
    """Problems of names that pydantic does not look for if there are others."""
    if not isinstance(data, dict):
        return
    hosts, targets, groups = (
        one if isinstance(one := data.get(key), dict) else {} for key in ("hosts", "targets", "groups")
    )
    usable = {
        name: tuple(members)
        for name, members in groups.items()
        if isinstance(members, list) and all(isinstance(member, str) for member in members)
    }
    # Groups that cannot be read are known names all the same.
    yield from conflicts(hosts, targets, {**dict.fromkeys(groups, ()), **usable})


def _sorted(found: list[Problem]) -> list[Problem]:
    return sorted(dict.fromkeys(found), key=lambda problem: (problem.file, problem.line or 0))
