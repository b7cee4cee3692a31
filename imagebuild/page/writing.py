"""Writes the pages of all artifacts: an index, a page for each image, and one for each version.

A page whose artifact, neighbours and options are the same as before is not made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from imagebuild import fingerprint
from imagebuild.contents.described import DescribedImage
from imagebuild.errors import HostError, UsageError
from imagebuild.page import feed, plots, reading, rendering, wording
from imagebuild.page.facts import KnownOutcome, VersionDetails, VersionRow
from imagebuild.page.page_folder import PageFolder, opened
from imagebuild.page.rendering import ImageCard, Neighbours, ShownBuild
from imagebuild.printable import counted, one_line
from imagebuild.progress import SILENT_REPORTER, Progress, Reporter
from imagebuild.schema.findings import did_you_mean
from imagebuild.store.artifact import Artifact, ArtifactFolder
from imagebuild.store.history import Build, History

Downloads = Literal["link", "copy", "none"]
Outcomes = Mapping[tuple[str, str], KnownOutcome]
"""What is known about versions, by image and version."""
_ROWS_OF_IMAGE, _ROWS_OF_INDEX = 30, 240
"""How many versions the index lists: of an image, and of all."""
_MOST_CARDS = 30
"""With more images than this, the index is one table."""
_MOST_BUILDS = 12
_IMAGE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")
_URL = re.compile(r"https?://[^\s<>\"'?#]+")
_UNKNOWN = KnownOutcome()


@dataclass(frozen=True)
class PageWritten:
    """What was written. ``written`` and ``removed`` are numbers of files, ``kept`` that of the
    versions whose pages stayed as they were; ``plots`` is false if the library is not installed.
    """

    folder: Path
    images: int
    versions: int
    written: int
    kept: int
    removed: int
    plots: bool
    notes: tuple[str, ...] = ()


@dataclass
class _Run:
    """What all pages of one run have in common."""

    site: PageFolder
    title: str
    downloads: Downloads
    outcomes: Outcomes
    progress: Progress
    kept: int = 0
    done: int = 0
    total: int = 0
    notes: list[str] = field(default_factory=list)
    plots: bool = True

    @cached_property
    def common(self) -> str:
        """Part of the key of every page: the code, and the options that all pages depend on."""
        code = fingerprint.code("page", "contents", "pictures/line_chart.py", "pictures/svg.py", "printable.py")
        return json.dumps([code, self.title, self.downloads])

    def outcome(self, artifact: Artifact) -> KnownOutcome:
        return self.outcomes.get((artifact.recipe, artifact.version), _UNKNOWN)


def write_page(
    artifacts: Path,
    destination: Path,
    *,
    title: str,
    base_url: str | None,
    history: History | None,
    recipes: Sequence[str] = (),
    downloads: Downloads = "link",
    outcomes: Outcomes | None = None,
    reporter: Reporter = SILENT_REPORTER,
    now: datetime | None = None,
) -> PageWritten:
    """Write the pages of the artifacts in a folder, or only of those of ``recipes``.

    ``base_url`` is where the page will be served; the feed needs it for absolute links. ``history``
    adds the last builds. Raises UsageError for a folder that has other files in it, a recipe without
    artifacts, and an address that is none; HostError if another process is writing the page.
    """
    address = _address(base_url)
    found = _found(artifacts, recipes)
    with opened(destination) as site, reporter.step(one_line(destination), "page") as progress:
        run = _Run(site, title, downloads, outcomes or {}, progress, total=sum(map(len, found.values())))
        run.plots = plots.available()
        builds = _builds(history, list(found), run)
        cards = []
        everything: list[VersionRow] = []
        for name, versions in found.items():
            rows = _write_versions(run, versions)
            known = [run.outcome(one) for one in versions]
            _write_image(run, rows, known, builds.get(name, []))
            everything += rows
            most = max(1, min(_ROWS_OF_IMAGE, _ROWS_OF_INDEX // len(found)))
            compact = len(found) > _MOST_CARDS
            tiles = () if compact else plots.tiles(rows, drawn=run.plots)
            failure = _failure(builds.get(name, []), rows[0])
            cards.append(ImageCard(name, rows[:most], known[:most], len(rows), tiles, failure))
        for name in ("style.css", "icon.svg"):
            site.put(name, (rendering.TEMPLATES / name).read_bytes())
        site.put("feed.xml", feed.text(everything, title, address))
        summary = f"{counted(len(found), 'image')}, {counted(run.total, 'version')}"
        when = (now or datetime.now(UTC)).astimezone(UTC)
        compact = len(found) > _MOST_CARDS
        site.put(
            "index.html",
            rendering.index(title, cards, compact=compact, plots=run.plots, summary=summary, now=when),
        )
        site.close_unit("site", "")
        written, removed = site.finish()
        progress.summary(f"{summary}; {counted(run.kept, 'page')} kept")
    return PageWritten(destination, len(found), run.total, written, run.kept, removed, run.plots, tuple(run.notes))


def _address(base_url: str | None) -> str | None:
    if base_url is None:
        return None
    if not _URL.fullmatch(base_url):
        raise UsageError(
            f"{base_url!r} is not the address of a page",
            "give one such as https://images.example.org/, without a query",
        )
    return base_url if base_url.endswith("/") else f"{base_url}/"


def _found(artifacts: Path, recipes: Sequence[str]) -> dict[str, list[Artifact]]:
    """The versions of each image, the newest first; images in the order of their names."""
    try:
        names = sorted(one.name for one in artifacts.iterdir() if one.is_dir() and not one.is_symlink())
    except OSError as error:
        raise UsageError(
            f"cannot read the artifacts in {artifacts}: {error.strerror}",
            "build a recipe, or give the folder with --output",
        ) from error
    found = {name: ArtifactFolder(artifacts, name).versions() for name in names if _IMAGE_NAME.fullmatch(name)}
    found = {name: versions for name, versions in found.items() if versions}
    for name in recipes:
        if name not in found:
            raise UsageError(f"{artifacts} has no artifact of {name}", did_you_mean(name, found) or "build it first")
    return {name: versions for name, versions in found.items() if not recipes or name in recipes}


def _write_versions(run: _Run, versions: Sequence[Artifact]) -> list[VersionRow]:
    """Write the pages of one image's versions, from the oldest to the newest, each of which is compared
    with the one before. The rows are the newest first.
    """
    states = [_state(one.folder) for one in versions]
    rows: list[VersionRow] = []
    last: VersionDetails | None = None
    for at in reversed(range(len(versions))):
        artifact = versions[at]
        older = versions[at + 1] if at + 1 < len(versions) else None
        newer = versions[at - 1].version if at else ""
        outcome = run.outcome(artifact)
        key = _digest(
            run.common, str(artifact.folder.absolute()), states[at], states[at + 1] if older is not None else None,
            older.version if older is not None else "", newer, asdict(outcome),
        )  # fmt: skip
        name = f"{artifact.recipe}/{artifact.version}"
        run.done += 1
        kept = run.site.kept(name, key)
        if kept is not None and kept.row is not None:
            rows.insert(0, kept.row)
            run.kept += 1
            last = None
            continue
        run.progress.update(name, run.done / run.total)
        before = last.image if last is not None else _described(older)
        last = reading.details(artifact, before)
        near = Neighbours(older.version if older is not None else "", newer, _why_unknown(last, older))
        _write_version(run, last, outcome, near)
        run.site.close_unit(name, key, last.row)
        rows.insert(0, last.row)
    return rows


def _described(artifact: Artifact | None) -> DescribedImage | None:
    return None if artifact is None else reading.described(artifact)[0]


def _why_unknown(details: VersionDetails, older: Artifact | None) -> str:
    if older is None:
        return "This is the oldest version that is there."
    whose = "this version" if details.image is None else older.version
    return f"Not known: there is no inventory of {whose} that can be used."


def _write_version(run: _Run, details: VersionDetails, outcome: KnownOutcome, near: Neighbours) -> None:
    site, path = run.site, details.row.path
    html = rendering.version(run.title, details, outcome, near, linked=run.downloads != "none")
    site.put(f"{path}/index.html", html)
    if disk := rendering.disk_picture(details):
        site.put(f"{path}/disk.svg", disk)
    if details.screenshot is not None:
        site.put(f"{path}/screenshot.png", details.screenshot.content)
    for one in details.downloads:
        if one.refused or run.downloads == "none":
            continue
        if run.downloads == "link":
            site.link(f"{path}/files/{one.name}", one.path.absolute())
        else:
            run.progress.update(f"copying {one.name} of {details.row.image} {details.row.version}")
            site.copy(f"{path}/files/{one.name}", one)


def _write_image(
    run: _Run, rows: Sequence[VersionRow], outcomes: Sequence[KnownOutcome], builds: Sequence[ShownBuild]
) -> None:
    name = rows[0].image
    every = [[asdict(one) for one in values] for values in (rows, outcomes, builds)]
    key = _digest(run.common, run.plots, every)
    if run.site.kept(name, key) is not None:
        return
    charts = plots.charts(rows) if run.plots else []
    run.site.put(f"images/{name}/index.html", rendering.image(run.title, rows, outcomes, charts, builds))
    for file, content in (plots.pictures(rows) if run.plots else {}).items():
        run.site.put(f"images/{name}/{file}", content)
    run.site.close_unit(name, key)


def _builds(history: History | None, names: Sequence[str], run: _Run) -> dict[str, list[ShownBuild]]:
    """The last builds of each image, the newest first. A history that cannot be read is only noted."""
    found: dict[str, list[ShownBuild]] = {}
    try:
        for name in names if history is not None else ():
            assert history is not None
            found[name] = [_shown(one, history.state(one)) for one in history.builds([name], _MOST_BUILDS)]
    except HostError as error:
        run.notes.append(f"the last builds are left out: {error}")
        return {}
    return found


def _shown(build: Build, outcome: str) -> ShownBuild:
    ran = ", ".join(f"{one.name} {wording.duration(one.seconds)}" for one in build.steps if one.state == "run")
    details = "; ".join(filter(None, (ran, build.error)))
    return ShownBuild(build.began, outcome, wording.build_kind(outcome), build.version or "", build.seconds, details)


def _failure(builds: Sequence[ShownBuild], newest: VersionRow) -> str:
    """The error of the last build, if that failed after the newest version was built."""
    if not builds or builds[0].outcome not in ("failed", "died") or (newest.built and builds[0].began < newest.built):
        return ""
    return builds[0].details or builds[0].outcome


def _state(folder: Path) -> list[tuple[str, int, int, int]]:
    """What shows that a file in an artifact was replaced: names, sizes, times and inodes."""
    found = []
    with os.scandir(folder) as entries:
        for one in entries:
            status = one.stat(follow_symlinks=False)
            found.append((one.name, status.st_size, status.st_mtime_ns, status.st_mode))
    return sorted(found)


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
