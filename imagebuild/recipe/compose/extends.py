"""The files that make up a recipe: those that it extends, those that they extend, and itself."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from imagebuild.errors import Problem, RecipeError
from imagebuild.host.looked_at import note_place
from imagebuild.recipe.yaml import reader
from imagebuild.schema.document import Document, Mark, Route, dotted
from imagebuild.schema.fields import shown, text
from imagebuild.schema.findings import did_you_mean

KEY = "extends"
MAX_CHAIN = 20
MAX_FILES = 200
_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class _Reference:
    """One entry of a file's ``extends``."""

    text: str
    mark: Mark
    route: Route

    def problem(self, message: str, hint: str | None = None) -> Problem:
        return Problem(self.mark.file, self.mark.value, dotted(self.route), message, hint)


def layers(document: Document, path: Path, folders: Sequence[Path]) -> tuple[Document, ...]:
    """The documents that make up the recipe ``document``, read from ``path``: the most general one
    first, itself last.

    A file that is reached twice counts once, where it is reached first. Files that are not found
    next to the file that extends them are searched in ``folders``. Raises RecipeError for all files
    that are missing, that extend each other in a cycle, or that are not recipes.
    """
    search = (path.parent, *folders)
    walk = _Walk(search)
    walk.visit(document, path, ())
    if walk.problems:
        raise RecipeError(sorted(walk.problems, key=lambda problem: (problem.file, problem.line or 0)))
    return tuple(walk.found)


class _Walk:
    """Follows every ``extends``, the bases of a file before the file itself."""

    def __init__(self, search: Sequence[Path]) -> None:
        self._search = search
        self._done: set[str] = set()
        self.found: list[Document] = []
        self.problems: list[Problem] = []

    def visit(self, document: Document, path: Path, chain: tuple[tuple[str, Mark], ...]) -> None:
        """``chain`` is how ``path`` was reached: each file by its real path, and the place where it
        names the next.
        """
        if document.root is None or not isinstance(document.root.inner, dict):
            what = "the file is empty" if document.data is None else "expected a mapping of keys"
            hint = f"it is extended in {chain[-1][1].file}:{chain[-1][1].value}" if chain else None
            self.problems += document.problems
            self.problems.append(Problem(document.file, 1, "", f"{what}: a recipe begins with `name:`", hint))
            return
        real = os.path.realpath(path)
        for reference in self._references(document):
            self._follow(reference, path, (*chain, (real, reference.mark)))
        self._done.add(real)
        self.found.append(document)

    def _references(self, document: Document) -> Iterator[_Reference]:
        value = document.root.entries.get(KEY) if document.root else None
        if value is None or (value.inner is None and value.data is None):
            return
        several = isinstance(value.inner, tuple)
        seen: set[str] = set()
        for at, item in enumerate(value.items if several else (value,)):
            reference = _Reference("", item.mark, (KEY, at) if several else (KEY,))
            try:
                name = text(item.data)
            except ValueError:
                expected = "the path of a recipe" if several else "the path of a recipe or a list of paths"
                self.problems.append(reference.problem(f"expected {expected}, found {shown(item.data)}"))
                continue
            if not name.strip("/"):
                self.problems.append(reference.problem(f"expected the path of a recipe, found {name!r}"))
            elif name in seen:
                self.problems.append(reference.problem(f"{name!r} is listed twice", "remove one of the two"))
            else:
                yield _Reference(name, item.mark, reference.route)
            seen.add(name)

    def _follow(self, reference: _Reference, path: Path, chain: tuple[tuple[str, Mark], ...]) -> None:
        found = self._find(reference.text, path)
        if found is None:
            hint = did_you_mean(reference.text, _near(path, self._search))
            where = " or ".join(dict.fromkeys(str(folder) for folder in (path.parent, *self._search)))
            self.problems.append(reference.problem(f"there is no file {reference.text!r} in {where}", hint))
            return
        real = os.path.realpath(found)
        if real in self._done:
            return
        begin = next((at for at, (file, _) in enumerate(chain) if file == real), None)
        if begin is not None:
            way = " → ".join(f"{mark.file}:{mark.value}" for _, mark in chain[begin:])
            back = chain[begin][1].file
            self.problems.append(reference.problem(f"these files extend each other in a cycle: {way} → {back}"))
        elif len(chain) > MAX_CHAIN:
            self.problems.append(reference.problem(f"more than {MAX_CHAIN} files extend each other in a chain"))
        elif len(self.found) + len(chain) >= MAX_FILES:
            raise RecipeError([reference.problem(f"a recipe may consist of at most {MAX_FILES} files")])
        else:
            self._read(reference, found, chain)

    def _read(self, reference: _Reference, path: Path, chain: tuple[tuple[str, Mark], ...]) -> None:
        try:
            document = reader.read(path)
        except RecipeError as error:
            # A problem without a line, such as an unreadable file, is reported at the reference to the file.
            self.problems += [
                problem if problem.line else reference.problem(f"{problem.file}: {problem.message}", problem.hint)
                for problem in error.problems
            ]
            self._done.add(os.path.realpath(path))
            return
        self.visit(document, path, chain)

    def _find(self, name: str, path: Path) -> Path | None:
        """The file that ``path`` refers to as ``name``.

        Another file of that name takes precedence over ``path`` itself.
        """
        if "/" not in name and not name.endswith(_SUFFIXES):
            name = f"{name}.yaml"
        name = os.path.expanduser(name)  # noqa: PTH111 - Path's own raises for an unknown user
        places = [folder / name for folder in (path.parent, *self._search)]
        there = [tidy(one) for one in places]
        for one in (*places, *there):
            note_place(one)
        there = [candidate for candidate in there if os.path.exists(candidate)]  # noqa: PTH110 - never raises
        return next((candidate for candidate in there if not _is_same(candidate, path)), there[0] if there else None)


def tidy(path: Path) -> Path:
    """``path`` without ``..``, if that leads to the same file."""
    plain = Path(os.path.normpath(path))
    return plain if plain == path or _is_same(plain, path) else path


def _is_same(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _near(path: Path, folders: Sequence[Path]) -> list[str]:
    """Candidates for a missing file that ``path`` extends."""
    names: dict[str, None] = {}
    for folder in (path.parent, *folders):
        for pattern in ("*.yaml", "base/*.yaml"):
            found = (file for file in sorted(folder.glob(pattern)) if not _is_same(file, path))
            names |= dict.fromkeys(str(file.relative_to(folder)) for file in found)
    return list(names)
