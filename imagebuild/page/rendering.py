"""The HTML of all pages, by Jinja2 with autoescape. What is printed in a template is made safe first:
control characters and invisible characters become escapes, as on a terminal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from imagebuild.contents import picture
from imagebuild.page import usage, wording
from imagebuild.page.facts import KnownOutcome, VersionDetails, VersionRow
from imagebuild.page.plots import Plotted, Tile
from imagebuild.printable import one_line

TEMPLATES = Path(__file__).parent / "templates"
_FILTERS = {
    "size": wording.size,
    "number": wording.number,
    "time": wording.duration,
    "day": wording.day,
    "minute": wording.minute,
    "url": wording.url,
    "change_kind": wording.change_kind,
    "change_word": wording.change_word,
    "check_badge": wording.check_badge,
}


@dataclass(frozen=True)
class ShownBuild:
    """A build in the history; ``kind`` is that of its badge."""

    began: str
    outcome: str
    kind: str
    version: str
    seconds: float | None
    details: str


@dataclass(frozen=True)
class ImageCard:
    """An image on the index. ``rows`` are its last versions, the newest first, ``outcomes`` what is
    known about each; ``total`` counts all versions. ``failure`` is the error of a build after the newest
    version.
    """

    name: str
    rows: Sequence[VersionRow]
    outcomes: Sequence[KnownOutcome]
    total: int
    tiles: Sequence[Tile] = ()
    failure: str = ""

    @property
    def newest(self) -> VersionRow:
        """The newest version."""
        return self.rows[0]


def index(site: str, cards: Sequence[ImageCard], *, compact: bool, plots: bool, summary: str, now: datetime) -> str:
    """The page that everybody opens first; only a ``compact`` one has room for very many images."""
    return _rendered(
        "index.html.j2", root="", site=site, cards=cards, compact=compact, plots=plots, summary=summary,
        now=now.isoformat(timespec="seconds"), age=partial(wording.age, now=now),
    )  # fmt: skip


def image(
    site: str,
    rows: Sequence[VersionRow],
    outcomes: Sequence[KnownOutcome],
    charts: Sequence[Plotted],
    builds: Sequence[ShownBuild],
) -> str:
    """The page of an image with all its versions, the newest first."""
    return _rendered(
        "image.html.j2", root="../../", site=site, name=rows[0].image, rows=rows, outcomes=outcomes, charts=charts,
        builds=builds,
    )  # fmt: skip


@dataclass(frozen=True)
class Neighbours:
    """The versions before and after a version; empty if there is none. ``why`` says why what changed
    is not known.
    """

    before: str = ""
    after: str = ""
    why: str = ""


def version(site: str, details: VersionDetails, outcome: KnownOutcome, near: Neighbours, *, linked: bool) -> str:
    """The page of a version. Its downloads are links if ``linked``, to the folder ``files``."""
    inventory, row = details.inventory, details.row
    disks = inventory.disks if inventory is not None else ()
    return _rendered(
        "version.html.j2", root="../../../", site=site, row=row, details=details, outcome=outcome, linked=linked,
        before=near.before, after=near.after, no_changes=near.why, facts=list(_facts(row, outcome)),
        sections=_sections(details), commands=usage.commands(row, details.downloads), has_disk=bool(disks),
        disk_text="; ".join(f"disk {number}: {picture.text(disk)}" for number, disk in enumerate(disks, start=1)),
        longest_step=max((one.seconds or 0 for one in details.steps), default=0) or 1,
        largest_folder=max((one.size for one in details.folders), default=0) or 1,
    )  # fmt: skip


def disk_picture(details: VersionDetails) -> str:
    """The disks of a version as SVG; empty if they are not known."""
    inventory, row = details.inventory, details.row
    if inventory is None or not inventory.disks:
        return ""
    return picture.svg(inventory.disks, inventory.volumes, f"Disk of {row.image} {row.version}")


def _facts(row: VersionRow, outcome: KnownOutcome) -> list[tuple[str, str]]:
    known = (
        ("System", row.system),
        ("Built", f"{wording.minute(row.built)} UTC" if row.built else ""),
        ("Image size", wording.size(row.size)),
        ("Disk size", wording.size(row.virtual_size)),
        ("Packages", wording.number(row.packages)),
        ("Boot to login", wording.duration(row.boot_seconds)),
        ("Build time", wording.duration(row.build_seconds)),
        ("Built with", {"kvm": "KVM", "tcg": "emulation (TCG)"}.get(row.accelerator, row.accelerator)),
        ("Signatures", ", ".join(row.signed)),
        ("Published to", ", ".join(outcome.published)),
    )
    return [(label, value) for label, value in known if value and value != wording.NOTHING]


def _sections(details: VersionDetails) -> list[tuple[str, str]]:
    known: tuple[tuple[str, str, object], ...] = (
        ("downloads", "Downloads", details.downloads),
        ("use", "How to use it", details.downloads),
        ("changes", "What changed", True),
        ("verification", "Verification", True),
        ("steps", "Build time", details.steps),
        ("disk", "Disk", details.inventory),
        ("packages", "Packages", True),
        ("tools", "Built with", details.tools),
    )
    return [(id, label) for id, label, there in known if there]


def _rendered(template: str, **values: Any) -> str:
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, finalize=_printed,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, auto_reload=False,
    )  # fmt: skip
    filters: Mapping[str, Any] = _FILTERS
    environment.filters.update(filters)
    return environment


def _printed(value: object) -> object:
    return value if isinstance(value, Markup) else one_line(value)
