"""The summary of a nightly run: a table of the images, and below it what failed."""

from __future__ import annotations

from collections.abc import Iterator

from imagebuild.cli.lines import minutes
from imagebuild.cli.output import shown
from imagebuild.contents.columns import aligned
from imagebuild.nightly.outcome import NightlyEnded, NightlyImageResult, NightlyStage, StageName

_HEAD = ("image", "version", "build", "verify", "gates", "signed", "published", "time")
_WORDS = {"passed": "passed", "failed": "failed", "unchanged": "passed", "skipped": "-"}
_BUILT = {"passed": "new", "failed": "failed", "unchanged": "unchanged", "skipped": "-"}


def summary(ended: NightlyEnded) -> Iterator[str]:
    """The lines of the summary."""
    yield from aligned([_HEAD, *map(_row, ended.images)], right=(7,), indent="")
    for image in ended.images:
        yield from _messages(image)
    for stage in ended.stages:
        if stage.status == "failed":
            yield from _failure("run", stage)
    yield _last(ended)


def _row(one: NightlyImageResult) -> tuple[str, ...]:
    current = sum(target.current for target in one.targets)
    return (
        shown(one.image),
        one.version or "-",
        _word(one, "build", _BUILT),
        _word(one, "verify"),
        _word(one, "gates"),
        _word(one, "sign"),
        f"{current}/{len(one.targets)}" if one.targets else "-",
        minutes(one.seconds),
    )


def _word(image: NightlyImageResult, name: StageName, words: dict[str, str] = _WORDS) -> str:
    stage = image.stage(name)
    if stage is None:
        return "failed" if name == "build" and image.stage("recipe") else "-"
    return stage.message if stage.message == "interrupted" else words[stage.status]


def _messages(image: NightlyImageResult) -> Iterator[str]:
    if image.changed and image.previous:
        differences = "; ".join(image.differences) or "the same contents"
        yield f"{shown(image.image)}: {image.previous} → {image.good}: {shown(differences)}"
    for stage in image.failed:
        yield from _failure(image.image, stage)


def _failure(who: str, stage: NightlyStage) -> Iterator[str]:
    yield f"{shown(who)}: {stage.stage} failed: {stage.message}"
    yield from (f"    {line}" for line in stage.details)
    if stage.hint:
        yield f"    hint: {stage.hint}"


def _last(ended: NightlyEnded) -> str:
    new = f"{len(ended.changed)} with a new good version" if ended.changed else "no new good version"
    failed = f"{len(ended.failed)} failed" if ended.failed else "no image failed"
    bad = [stage.stage for stage in ended.stages if stage.status == "failed"]
    run = f"; {', '.join(bad)} failed" if bad else ""
    count = len(ended.images)
    return f"{count} image{'s' * (count != 1)} in {minutes(ended.seconds)}: {new}, {failed}{run}"
