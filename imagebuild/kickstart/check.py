"""Checks a rendered kickstart against pykickstart, the installer and the rules, before anything
boots.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from imagebuild.errors import Problem, RecipeError, Severity
from imagebuild.kickstart import rule as rules
from imagebuild.kickstart.parse import parse
from imagebuild.kickstart.parsed import Kickstart, Said
from imagebuild.kickstart.rendered import Rendered
from imagebuild.kickstart.rule import KickstartTarget
from imagebuild.kickstart.suppressions import Suppression, suppressions, without_comments
from imagebuild.schema import rule_names
from imagebuild.schema.similar import did_you_mean

if TYPE_CHECKING:
    from imagebuild.schema.document import Mark


class Supported(Protocol):
    """Finds what an installer does not support."""

    def __call__(
        self, handler: Any, text: str, *, scanned: Iterable[tuple[int, Sequence[str]]]
    ) -> Iterable[tuple[int, str, str | None, Severity]]:
        """Returns what is refused (``error``) or only noted (``warning``) as line, message, hint and
        severity, given pykickstart's handler, the kickstart, and the lines and words of its commands
        and section headers.
        """

    def __hash__(self) -> int:
        """Reports are cached by it."""


Place = tuple[str, int | None, str]
MAX_FINDINGS = 100
"""The most findings of rules that are reported for one kickstart."""
_KEPT = 512
"""Parsed kickstarts that are cached: the images of a matrix often differ only in comments."""


@dataclass(frozen=True)
class ParsedKickstart:
    """A kickstart that pykickstart accepts, as its ``handler``, and the warnings about it.

    ``packages`` and ``excluded`` come from %packages; ``core`` is False with --nocore,
    ``weak_dependencies`` with --exclude-weakdeps.
    """

    handler: Any
    packages: tuple[str, ...]
    excluded: tuple[str, ...]
    core: bool
    weak_dependencies: bool
    warnings: tuple[Problem, ...]


@dataclass(frozen=True)
class CheckReport:
    """The result of checking a kickstart: ``parsed`` (None if there are errors), and all findings.

    ``findings`` are in the order of the kickstart. ``used`` holds the places (file, line, rule) of
    the suppressions that suppressed a finding.
    """

    parsed: ParsedKickstart | None
    findings: tuple[Problem, ...]
    used: frozenset[Place]

    @property
    def errors(self) -> list[Problem]:
        """The findings that fail a build."""
        return [problem for problem in self.findings if problem.severity == "error"]

    def joined(self, errors: Iterable[Problem]) -> CheckReport:
        """The report with further errors added."""
        more = tuple(errors)
        return replace(self, parsed=None, findings=(*self.findings, *more)) if more else self

    def warned(self, warning: Problem | None) -> CheckReport:
        """The report with a further warning."""
        if warning is None:
            return self
        parsed = self.parsed and replace(self.parsed, warnings=(*self.parsed.warnings, warning))
        return replace(self, parsed=parsed, findings=(*self.findings, warning))


def merged(reports: Sequence[CheckReport]) -> CheckReport:
    """The reports of one image's kickstarts as one.

    Each finding is listed once. A suppression counts as unused only if no kickstart uses it.
    """
    used = frozenset(place for report in reports for place in report.used)
    findings = dict.fromkeys(problem for report in reports for problem in report.findings)
    shown = tuple(problem for problem in findings if not (is_unused(problem) and _place_in(problem, used)))
    return CheckReport(reports[-1].parsed, shown, used)


def is_unused(problem: Problem) -> bool:
    """Whether the problem is about a suppression that suppresses nothing."""
    return problem.rule == rules.SILENCE and problem.severity == "warning"


def _place_in(problem: Problem, used: Iterable[Place]) -> bool:
    return any((problem.file, problem.line) == (file, line) for file, line, _ in used)


def check(rendered: Rendered, *, version: str, supported: Supported | None = None) -> ParsedKickstart:
    """Parse a rendered kickstart with the syntax of ``version`` (pykickstart's name for it, such as
    ``RHEL10``).

    ``supported`` also checks it against what the installer supports. No rules are applied. Raises
    RecipeError with all problems, each at the line of the template.
    """
    kickstart, found = _read(without_comments(rendered.text), version, supported)
    if wrong := [one for one in found if one.severity == "error"]:
        raise RecipeError([_problem(rendered, one) for one in wrong])
    warned = (rendered.problem(*said, severity="warning") for said in (*kickstart.deprecated, *kickstart.repeated))
    return _parsed(kickstart, (*warned, *(_problem(rendered, one) for one in found)))


def lint(
    rendered: Rendered,
    *,
    version: str,
    target: KickstartTarget,
    supported: Supported | None = None,
    ignore: Mapping[str, Mark] | None = None,
) -> CheckReport:
    """Parse a kickstart as ``check`` does, and apply all rules.

    ``ignore`` maps each rule that the recipe suppresses to the place that says so.
    """
    text = without_comments(rendered.text)
    kickstart, found = _read(text, version, supported)
    held = [*found, *_by_rules(text, version, supported, target)]
    suppressed = _Suppressed(rendered, ignore or {})
    shown = [_problem(rendered, one) for one in held if not suppressed.covers(one)]
    findings = (*shown, *suppressed.problems())
    wrong = any(problem.severity == "error" for problem in findings)
    warned = tuple(problem for problem in findings if problem.severity == "warning")
    parsed = None if wrong else _parsed(kickstart, warned)
    return CheckReport(parsed, findings, frozenset(suppressed.used()))


class _Found(NamedTuple):
    rule: str
    severity: Severity
    said: Said


def _problem(rendered: Rendered, found: _Found) -> Problem:
    return rendered.problem(*found.said, rule=found.rule, severity=found.severity)


@lru_cache(maxsize=_KEPT)
def _read(text: str, version: str, supported: Supported | None) -> tuple[Kickstart, tuple[_Found, ...]]:
    """A kickstart, the errors that pykickstart and the installer report in it, and what the installer
    notes.
    """
    kickstart = parse(text, version)
    found = [_Found(rules.SYNTAX, "error", said) for said in kickstart.wrong]
    if not found and supported is not None:
        found = [_treated(*one) for one in supported(kickstart.handler, text, scanned=kickstart.scanned)]
    return kickstart, tuple(found)


def _treated(line: int, message: str, hint: str | None, severity: Severity) -> _Found:
    rule = rules.UNSUPPORTED if severity == "error" else rules.WITHOUT_EFFECT
    return _Found(rule, severity, Said(line, message, hint))


@lru_cache(maxsize=_KEPT)
def _by_rules(text: str, version: str, supported: Supported | None, target: KickstartTarget) -> tuple[_Found, ...]:
    kickstart, _ = _read(text, version, supported)
    if kickstart.handler is None:  # too large to be parsed
        return ()
    found = [
        _Found(rule.name, rule.severity_for(target), said)
        for rule in rules.every()
        for said in rule.find(kickstart, target)
    ]
    found.sort(key=lambda one: one.said.line or 0)
    if len(found) > MAX_FINDINGS:
        message = f"{len(found) - MAX_FINDINGS} further findings from here on are not shown"
        found[MAX_FINDINGS:] = [_Found(rules.SYNTAX, "warning", Said(found[MAX_FINDINGS].said.line, message))]
    return tuple(found)


class _Suppressed:
    """The suppressions of a kickstart and its recipe, and which of them were used."""

    def __init__(self, rendered: Rendered, ignore: Mapping[str, Mark]) -> None:
        self._rendered = rendered
        self._ignore = ignore
        self._comments = [(one, self._wrong(one)) for one in islice(suppressions(rendered.text), MAX_FINDINGS)]
        self._used: set[Suppression | str] = set()

    def covers(self, found: _Found) -> bool:
        """Whether a finding is suppressed."""
        if found.rule in rules.OWN:
            return False
        by: list[Suppression | str] = [found.rule] if found.rule in self._ignore else []
        by += [
            one
            for one, wrong in self._comments
            if not wrong and one.rule == found.rule and found.said.line in one.covers
        ]
        self._used.update(by)
        return bool(by)

    def problems(self) -> Iterator[Problem]:
        """The problems of the suppressions themselves."""
        for one, wrong in self._comments:
            if wrong:
                yield self._rendered.problem(one.line, *wrong, rule=rules.SILENCE)
            elif one not in self._used:
                yield self._rendered.problem(one.line, *_unused(one.rule), rule=rules.SILENCE, severity="warning")
        for name, mark in self._ignore.items():
            if name not in self._used:
                yield unused(name, mark)

    def used(self) -> Iterator[Place]:
        """The places of the suppressions that were used."""
        for name, mark in self._ignore.items():
            if name in self._used:
                yield mark.file, mark.key, name
        for one, _ in self._comments:
            if one in self._used:
                problem = self._rendered.problem(one.line, "")
                yield problem.file, problem.line, one.rule

    @staticmethod
    def _wrong(one: Suppression) -> tuple[str, str | None] | None:
        if one.rule in rule_names.OF_RECIPES:
            return f"{one.rule} is a rule for recipes", f"write in the recipe: lint: {{ignore: {{{one.rule}: …}}}}"
        if one.rule not in rule_names.of_kickstarts():
            hint = (
                did_you_mean(one.rule, rule_names.of_kickstarts()) or "`imagebuild lint --list-rules` lists the rules"
            )
            return f"cannot suppress {one.rule!r}: there is no such rule", hint
        if not one.reason:
            return "the suppression has no reason", f"write: # imagebuild: ignore {one.rule}: the reason"
        return None


def unused(name: str, mark: Mark) -> Problem:
    """The warning about a rule that a recipe suppresses at ``mark`` although it finds nothing."""
    where = f"lint.ignore.{name}"
    return Problem(mark.file, mark.key, where, *_unused(name), rule=rules.SILENCE, severity="warning")


def _unused(rule: str) -> tuple[str, str]:
    return f"unused suppression: {rule} finds nothing here", "remove it"


def _parsed(kickstart: Kickstart, warnings: tuple[Problem, ...]) -> ParsedKickstart:
    packages = kickstart.handler.packages
    return ParsedKickstart(
        kickstart.handler,
        packages=tuple(packages.packageList),
        excluded=tuple(packages.excludedList),
        core=not packages.nocore,
        weak_dependencies=not packages.excludeWeakdeps,
        warnings=warnings,
    )
