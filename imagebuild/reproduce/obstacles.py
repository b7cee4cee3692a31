"""What is known before a rebuild: everything that will not be as it was."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from imagebuild import fetch
from imagebuild.build.plan import Plan
from imagebuild.errors import ImageBuildError
from imagebuild.kickstrap import index
from imagebuild.kickstrap.payload import PayloadSpec
from imagebuild.printable import counted
from imagebuild.reproduce.origin import OriginalBuild
from imagebuild.store import beside
from imagebuild.store.beside import ManifestError

_LARGEST_KICKSTART = 4 << 20
_MOST = 5
_SHOWN = 12
"""Digits of a fingerprint."""
_INSTALLER = ("runtime", "tree", "source")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_URL = re.compile(r"https?://[^\s\"']+")


@dataclass(frozen=True)
class Obstacle:
    """``what`` cannot be as it was: ``was`` and ``now`` are short texts."""

    what: str
    was: str
    now: str


def of_tools(origin: OriginalBuild, tools: Mapping[str, str]) -> Iterator[Obstacle]:
    """Programs of other versions."""
    for name in sorted(origin.tools.keys() | tools.keys()):
        was, now = origin.tools.get(name, ""), tools.get(name, "")
        if was != now:
            yield Obstacle(name, was or "not used", now or "not there")


def of_kickstart(origin: OriginalBuild, plan: Plan) -> Iterator[Obstacle]:
    """A kickstart with other lines; digests and the mirror's address may differ."""
    try:
        content = beside.content_of(origin.folder / "kickstart.cfg", _LARGEST_KICKSTART)
    except ManifestError as error:
        content = None
        yield Obstacle("kickstart", "not known", f"kickstart.cfg beside the manifest is not used: {error}")
    if content is None:
        return
    before, after = (_lines(text) for text in (content.decode("utf-8", "replace"), plan.kickstart.text))
    changed = [number for number, pair in enumerate(zip(before, after, strict=False), 1) if pair[0] != pair[1]]
    if len(before) != len(after) or changed:
        first = changed[0] if changed else min(len(before), len(after)) + 1
        lines = f"{counted(len(before), 'line')}", f"{counted(len(after), 'line')}, the first that differs is {first}"
        yield Obstacle("kickstart", *lines)


def _lines(text: str) -> list[str]:
    return [_URL.sub("URL", _DIGEST.sub("DIGEST", line)) for line in text.splitlines()]


def of_steps(origin: OriginalBuild, plan: Plan) -> Iterator[Obstacle]:
    """The first step in the order of the build whose inputs differ, with the code that runs it; later
    ones differ because of it. What only installs is no input of the image.
    """
    for step in plan.steps:
        if step.name in _INSTALLER or origin.steps.get(step.name) == step.fingerprint:
            continue
        was = origin.steps.get(step.name, "")[:_SHOWN] or "no such step"
        yield Obstacle(
            f"step {step.name}", was, f"{step.fingerprint[:_SHOWN]}: other inputs, or other code of imagebuild"
        )
        return


def of_packages(origin: OriginalBuild, spec: PayloadSpec) -> Iterator[Obstacle]:
    """Packages that the mirror no longer has in the version of the manifest."""
    try:
        offered = index.offered_versions(spec, origin.packages)
    except ImageBuildError as error:
        yield Obstacle("packages", counted(len(origin.packages), "package"), f"not looked up: {error.message}")
        return
    gone = [name for name, version in origin.packages.items() if version not in offered.get(name, ())]
    for name in sorted(gone)[:_MOST]:
        yield Obstacle(f"package {name}", origin.packages[name], ", ".join(sorted(offered.get(name, ()))) or "gone")
    if len(gone) > _MOST:
        where = fetch.shown(spec.mirror.main or "the mirror")
        yield Obstacle(f"{len(gone) - _MOST} more packages", "as in the manifest", f"not offered by {where}")
