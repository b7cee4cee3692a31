"""The packages that a recipe names, looked up where its installer takes them from.

Every name is looked up once for all recipes that use the same source.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pykickstart.constants import KS_MISSING_IGNORE

from imagebuild.build import installers
from imagebuild.customise.operation import OperationCall
from imagebuild.errors import Problem
from imagebuild.kickstart.check import CheckReport
from imagebuild.kickstart.rendered import Rendered
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.schema.document import Route
from imagebuild.schema.findings import where
from imagebuild.step import PackageSource
from imagebuild.store.store import Store

_INSTALLING = ("install-packages", "install-packages-at-first-boot")
_ANY = ("copy-in", "run-command", "run-script")
"""Operations that may add a source of packages without naming it."""
_SOURCES = "/etc/apt"


@dataclass(frozen=True)
class NamedPackages:
    """A recipe, its rendered kickstart, and the names in the kickstart's %packages."""

    recipe: Recipe
    rendered: Rendered
    names: tuple[str, ...]
    excluded: tuple[str, ...] = ()
    optional: bool = False
    """Whether the kickstart says that packages that do not exist are left out."""

    @classmethod
    def of(cls, recipe: Recipe, rendered: Rendered, report: CheckReport) -> NamedPackages:
        """Those of a checked kickstart; if it has errors, those of the recipe."""
        if report.parsed is None:
            return cls(recipe, rendered, recipe.all_packages)
        parsed = report.parsed
        optional = parsed.handler.packages.handleMissing == KS_MISSING_IGNORE
        return cls(recipe, rendered, parsed.packages, parsed.excluded, optional)

    def all(self) -> set[str]:
        """Every name that can be looked up."""
        named = {*self.names, *self.excluded, *(name for _, _, name in self._of_operations())}
        return {name for one in named if (name := _plain(one))}

    def problems(self, unknown: Mapping[str, str]) -> Iterator[Problem]:
        """A problem at each place that names one of the ``unknown`` packages, given with hints."""
        for name in self.names:
            if (plain := _plain(name)) in unknown:
                found = self._installed(name, _message(name, self.recipe), unknown[plain])
                yield replace(found, severity="warning") if self.optional else found
        for name in self.excluded:
            if _plain(name) in unknown:
                message = f"-{name} has no effect: {_message(name, self.recipe)}"
                yield replace(self.rendered.problem(self._line(f"-{name}"), message), severity="warning")
        for route, call, name in self._of_operations():
            if (plain := _plain(name)) in unknown:
                found = self._at(route, _message(name, self.recipe), unknown[plain])
                yield found if self._is_certain(call) else replace(found, severity="warning")

    def _installed(self, name: str, message: str, hint: str) -> Problem:
        if name in self.recipe.packages:
            return self._at(("packages", self.recipe.packages.index(name)), message, hint)
        return self.rendered.problem(self._line(name), message, hint)

    def _line(self, name: str) -> int | None:
        lines = self.rendered.text.splitlines()
        return next((number for number, line in enumerate(lines, 1) if line.split("#")[0].strip() == name), None)

    def _at(self, route: Route, message: str, hint: str) -> Problem:
        mark = self.recipe.place(route)
        return Problem(mark.file, mark.value, where(route, self.recipe.document), message, hint)

    def _of_operations(self) -> Iterator[tuple[Route, OperationCall, str]]:
        for at, call in enumerate(self.recipe.operations):
            if call.name in _INSTALLING and getattr(call.params, "repository", None) is None:
                for number, name in enumerate(getattr(call.params, "packages", ())):
                    yield ("operations", at, call.name, "packages", number), call, name

    def _is_certain(self, call: OperationCall) -> bool:
        """Whether the guest has no other sources of packages when the operation runs."""
        return call.name == _INSTALLING[0] and not any(
            one.name in _ANY or _SOURCES in str(one.params) for one in self.recipe.operations
        )


def _message(name: str, recipe: Recipe) -> str:
    return f"Debian {recipe.os.codename} has no package {name!r}"


def _plain(name: str) -> str:
    """A name without its architecture; empty for a group, a file or a pattern."""
    name = name.partition(":")[0]
    return "" if not name or name[0] in "@/" or any(sign in name for sign in "(*?[") else name


def look_up(
    named: Sequence[NamedPackages], store: Store | None, *, offline: bool
) -> tuple[list[list[Problem]], list[str]]:
    """The problems of names that do not exist, for each recipe that has some, and why others were
    not looked up, a sentence each.
    """
    problems: list[list[Problem]] = []
    notes: dict[str, list[str]] = {}
    sources: dict[PackageSource | None, list[NamedPackages]] = {}
    for one in named:
        sources.setdefault(installers.of(one.recipe).packages(one.recipe), []).append(one)
    for source, users in sources.items():
        if source is None:
            why = "their installer's repositories are not looked at"
            notes.setdefault(why, []).extend(one.recipe.name for one in users)
            continue
        names = {name for one in users for name in one.all()}
        verdict = source.check(names, store, offline=offline)
        if verdict.note:
            notes.setdefault(verdict.note, []).extend(one.recipe.name for one in users)
        if verdict.unknown:
            problems += [list(one.problems(verdict.unknown)) for one in users]
    return problems, [_note(why, recipes) for why, recipes in notes.items()]


def _note(why: str, recipes: Sequence[str]) -> str:
    some = ", ".join(recipes[:3]) + (f" and {len(recipes) - 3} more" if len(recipes) > 3 else "")
    return f"package names of {some} were not checked: {why}"
