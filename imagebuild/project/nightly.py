"""The section ``nightly`` of ``imagebuild.yaml``: what ``imagebuild nightly`` builds, and what it does with it."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from imagebuild.schema import fields as f
from imagebuild.schema.findings import Finding, Refused
from imagebuild.schema.section import Section, Short, without_none, without_nothing

_DAYS = re.compile(r"(?:([0-9]{1,4})d)?((?:[0-9]+[hms])*)")


def _age(value: object) -> int:
    """Seconds, written with units, including days."""
    line = f.text(value)
    parts = _DAYS.fullmatch(line)
    if parts is None or not line:
        raise ValueError(f"expected a time with a unit, such as 7d or 36h, found {f.shown(value)}")
    return int(parts[1] or 0) * 86400 + (f.duration(parts[2]) if parts[2] else 0)


def _age_text(seconds: int) -> str:
    return f"{seconds // 86400}d" if seconds % 86400 == 0 else f.duration_text(seconds)


def _gate(value: object) -> str:
    from imagebuild.contents import gates  # most commands read the project's file for its hosts only

    return gates.parse(f.text(value)).text


def _count(low: int) -> Any:
    def check(value: object) -> int:
        number = f.whole_number(value)
        if number < low:
            raise ValueError(f"expected at least {low}, found {f.shown(value)}")
        return number

    return check


def _canary(value: object) -> str:
    return str(f.whole_number(value)) if type(value) is int else f.text(value)


Age = Annotated[
    int,
    BeforeValidator(_age),
    f.Kind("time", _age_text, {"type": "string", "pattern": "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$"}),
]
GateText = Annotated[str, BeforeValidator(_gate), f.Kind("gate", schema={"type": "string", "minLength": 1})]
Count = Annotated[int, BeforeValidator(_count(1)), f.Kind("number", schema={"type": "integer", "minimum": 1})]
Word = Annotated[str, BeforeValidator(f.text), f.Kind("text", schema={"type": "string", "minLength": 1})]
CanaryWord = Annotated[
    str,
    BeforeValidator(_canary),
    f.Kind("number or name", schema={"type": ["integer", "string"]}),
]
Command = Annotated[str, BeforeValidator(f.text), f.Kind("shell command", schema={"type": "string", "minLength": 1})]
Words = Annotated[tuple[Word, ...], BeforeValidator(without_nothing)]
Gates = Annotated[tuple[GateText, ...], BeforeValidator(without_nothing)]
Variables = Annotated[dict[f.VariableName, f.Variable], BeforeValidator(without_none)]


def _recipe(value: object) -> dict[str, Any]:
    return {"recipe": f.text(value)}


class NightlyImage(Section):
    """A recipe whose images are built; what is not given is as for all images."""

    recipe: Word = Field(description="The recipe, by name or path: all its images.")
    only: Words = Field((), description="Only these images of the recipe.")
    variables: Variables = Field(default_factory=dict, description="Values of the recipe's variables.")
    verify: bool | None = Field(None, description="Default: `nightly.verify`.")
    gates: Gates | None = Field(None, description="Default: `nightly.gates`.")
    to: Words | None = Field(None, description="Default: `nightly.publish.to`; an empty list publishes nowhere.")

    @property
    def given(self) -> dict[str, str]:
        """The values of variables, as on the command line."""
        return {name: _written(value) for name, value in self.variables.items()}


def _written(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


IMAGE = Short(_recipe, f.Kind("recipe", lambda section: section.recipe, {"type": "string", "minLength": 1}))
ImageItem = Annotated[NightlyImage, BeforeValidator(IMAGE), IMAGE]


class NightlyPublish(Section):
    """Where versions that pass their gates are published to."""

    to: Words = Field((), description="Hosts, targets and groups, as for `publish --to`. Default: nowhere.")
    canary: CanaryWord | None = Field(
        None, description="How many of them, or which, are published to first. Default: 1 if there is a check."
    )
    canary_check: Command | None = Field(None, description="Shell command that checks a canary.")
    canary_boot: bool = Field(default=False, description="Check a canary by booting a machine of it there.")
    canary_timeout: f.Timeout = Field(600, description="Time limit of each check.")
    unverified: bool = Field(default=False, description="Publish also images that no `verify` has checked.")
    jobs: Count = Field(4, description="How many targets are worked on at the same time.")

    @model_validator(mode="after")
    def _needs_places(self) -> Self:
        wrong = [name for name in ("canary", "canary_check") if getattr(self, name) is not None]
        wrong += ["canary_boot"] if self.canary_boot else []
        if wrong and not self.to:
            raise Refused([Finding((name,), "this is for `to`, which names no targets") for name in wrong[:1]])
        return self

    @property
    def canary_word(self) -> str | None:
        """What names the canaries; None if there are none."""
        checked = self.canary_boot or self.canary_check is not None
        return self.canary or ("1" if checked else None)


class NightlyKeep(Section):
    """How much stays. What is not given is not pruned."""

    versions: Count | None = Field(
        None,
        description="How many versions of each image stay among the artifacts, besides `latest` and `good`.",
    )
    templates: Count | None = Field(
        None, description="How many published versions stay at each target, as for `prune --keep`."
    )
    results: Count = Field(2, description="How many results of each step stay in the store, as for `gc --keep`.")
    store_size: f.DiskSize | None = Field(None, description="The most that the store takes, as for `gc --max-size`.")


class NightlyPage(Section):
    """The page that shows all images and versions."""

    folder: f.FilePath = Field(description="The folder that the page is written to; relative to this file's folder.")
    url: f.Url | None = Field(None, description="The address at which the folder is served, for the feed.")
    title: Word = Field("Images", description="The title of the page.")
    downloads: Literal["link", "copy", "none"] = Field(
        "link", description="How the artifacts' files are offered: by links, as copies, or not at all."
    )


class NightlyHooks(Section):
    """Commands that run at the end, with the result as JSON on standard input."""

    success: Command | None = Field(None, description="Runs if everything went well.")
    failure: Command | None = Field(None, description="Runs if anything failed.")
    changed: Command | None = Field(None, description="Runs if there is a new version of any image.")
    always: Command | None = Field(None, description="Runs in each case.")
    timeout: f.Timeout = Field(120, description="Time limit of each command.")


class Nightly(Section):
    """What a nightly run does."""

    images: Annotated[tuple[ImageItem, ...], BeforeValidator(without_nothing)] = Field(
        (), description="The recipes whose images are built. Default: all in the folder `recipes`."
    )
    if_changed: bool = Field(
        default=True, description="Also ask the mirrors, and rebuild what contains packages that are newer there."
    )
    max_age: Age | None = Field(None, description="Rebuild what contains packages that were fetched longer ago: `7d`.")
    jobs: Count | None = Field(
        None,
        description="How many images are built at the same time, as far as there is room. Default: one per processor.",
    )
    verify: bool | None = Field(
        None, description="Whether images are verified before they become the latest. Default: as each recipe says."
    )
    gates: Gates = Field(
        (), description="Differences from the last good version that a version must not have, as for `diff --fail-on`."
    )
    publish: Annotated[NightlyPublish, BeforeValidator(without_none)] = Field(
        default_factory=NightlyPublish, description="Where versions that pass their gates are published to."
    )
    keep: Annotated[NightlyKeep, BeforeValidator(without_none)] = Field(
        default_factory=NightlyKeep, description="How much stays."
    )
    page: NightlyPage | None = Field(None, description="The page that shows all images and versions.")
    reports: f.FilePath = Field(
        "reports",
        description="The folder for `nightly.json`, `nightly.xml` (JUnit), `lint.sarif` and the differences;"
        " relative to this file's folder.",
    )
    metrics: f.FilePath | None = Field(
        None,
        description="A file `NAME.prom` for node_exporter's textfile collector; relative to this file's folder.",
    )
    hooks: Annotated[NightlyHooks, BeforeValidator(without_none)] = Field(
        default_factory=NightlyHooks, description="Commands that run at the end."
    )

    @model_validator(mode="after")
    def _prom(self) -> Self:
        if self.metrics is not None and not self.metrics.endswith(".prom"):
            message = "the collector reads only files whose names end in .prom"
            raise Refused([Finding(("metrics",), f"expected a path that ends in .prom: {message}")])
        return self
