"""What commands print with ``--json`` that is no event of a build: a class for each kind of line.

The kinds of all commands are in :mod:`imagebuild.cli.json_output`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from imagebuild.errors import Problem, Severity
from imagebuild.events import JsonLine


@dataclass(frozen=True, kw_only=True)
class ImageListed(JsonLine):
    """An image that can be built by name. ``axes`` has its value of each axis of the recipe's matrix;
    ``problems`` counts what `lint` reports about it.
    """

    event: Literal["image"] = "image"
    name: str
    description: str
    file: str
    axes: dict[str, str | int | float | bool]
    problems: int


@dataclass(frozen=True, kw_only=True)
class OperationDescribed(JsonLine):
    """An operation; ``parameters`` is the JSON Schema of its parameters."""

    event: Literal["operation"] = "operation"
    name: str
    phase: str
    summary: str
    description: str
    parameters: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class CheckDescribed(JsonLine):
    """A check of `verify`; ``parameters`` is the JSON Schema of its parameters. ``version`` changes
    with its code.
    """

    event: Literal["check"] = "check"
    name: str
    version: str
    summary: str
    description: str
    parameters: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class LintFinding(JsonLine):
    """A problem in a recipe or a kickstart, as `lint` found it. ``images`` counts the images
    that have it; ``rule`` is the rule for kickstarts that reported it.
    """

    event: Literal["finding"] = "finding"
    file: str
    line: int | None
    where: str
    message: str
    hint: str | None
    rule: str | None
    severity: Severity
    images: int


@dataclass(frozen=True, kw_only=True)
class LintEnded(JsonLine):
    """The end of `lint`: how many findings there are; what was checked and what could not be checked,
    for people.
    """

    event: Literal["summary"] = "summary"
    errors: int
    warnings: int
    checked: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class RuleDescribed(JsonLine):
    """A rule for kickstarts, of `lint --list-rules`."""

    event: Literal["rule"] = "rule"
    name: str
    severity: Severity
    summary: str
    help: str


@dataclass(frozen=True, kw_only=True)
class SyntaxDescribed(JsonLine):
    """A version of the kickstart syntax, of `lint --list-syntaxes`."""

    event: Literal["syntax"] = "syntax"
    name: str
    newest: bool


@dataclass(frozen=True)
class PlannedStep:
    """A step of a plan; ``why`` says why it must run, None if its result is cached. ``remote`` says whether
    the remote store has it, None if that was not asked."""

    step: str
    what: str
    cached: bool
    why: str | None
    fingerprint: str
    expected_seconds: float | None
    remote: bool | None = None


@dataclass(frozen=True, kw_only=True)
class BuildPlanned(JsonLine):
    """What a build of an image would do. ``image`` is the path of the artifact if nothing would be
    built, ``asked`` has the addresses that were asked whether anything changed, ``checks`` the checks
    that would run. ``expected_seconds`` is None if the history does not know it.
    """

    event: Literal["plan"] = "plan"
    recipe: str
    steps: tuple[PlannedStep, ...]
    expected_seconds: float | None
    image: str | None
    warnings: tuple[Problem, ...]
    asked: tuple[str, ...]
    checks: tuple[str, ...]


@dataclass(frozen=True)
class TemplateOnShelf:
    """A template on a shelf; ``virt_builder`` says whether virt-builder's index lists it, ``image``
    is the file of its system disk.
    """

    name: str
    version: str
    revision: int
    versions: tuple[str, ...]
    image: str
    virt_builder: bool


@dataclass(frozen=True)
class TemplateOffered:
    """A template that a shelf offers, with its revision; ``image`` is the file of its system disk."""

    name: str
    revision: int
    image: str


@dataclass(frozen=True, kw_only=True)
class ShelfVerified(JsonLine):
    """The end of `shelf verify`. ``key`` is the name of the key that signed it; ``files`` were read and
    have the signed digests, ``unread`` were not read. Both count files.
    """

    event: Literal["shelf verified"] = "shelf verified"
    shelf: str
    key: str
    templates: tuple[TemplateOffered, ...]
    files: int
    unread: int


@dataclass(frozen=True, kw_only=True)
class ShelfWritten(JsonLine):
    """The end of `shelf build`. ``signed`` is the key's fingerprint; ``lost`` is what is no longer
    listed because files of it were missing.
    """

    event: Literal["shelf"] = "shelf"
    folder: str
    signed: str | None
    templates: tuple[TemplateOnShelf, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    lost: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class PageReported(JsonLine):
    """The end of `page`. ``written`` and ``removed`` count files, ``kept`` the versions whose pages
    stayed as they were; ``plots`` is false if the library that draws is not installed.
    """

    event: Literal["page"] = "page"
    folder: str
    index: str
    images: int
    versions: int
    written: int
    kept: int
    removed: int
    plots: bool
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ProjectCreated(JsonLine):
    """The end of `init`: the files that it wrote."""

    event: Literal["created"] = "created"
    name: str
    files: tuple[str, ...]
