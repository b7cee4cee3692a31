"""Compares a new version with the last good one, and holds the gates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from imagebuild.contents import gates as rules
from imagebuild.contents import markdown
from imagebuild.contents.compare import ImageDiff, compare
from imagebuild.contents.described import DescribedImage
from imagebuild.contents.difference import growth, sections
from imagebuild.contents.gates import FiredGate
from imagebuild.files import write_atomically
from imagebuild.nightly.journal import Judgement
from imagebuild.store import beside
from imagebuild.store.artifact import Artifact


@dataclass(frozen=True)
class Compared:
    """A judgement, and the difference that it is about, if both contents are known."""

    judgement: Judgement
    document: str


def judge(new: Artifact, good: Artifact | None, wanted: tuple[str, ...]) -> Compared:
    """What the gates say about a version, compared with the last good one. Reads the inventories beside
    the images, and no disk. Without a good version there is nothing to compare with, and no gate fires.
    """
    if good is None:
        return Compared(Judgement(new.version, "", wanted), "")
    before, after = _described(good), _described(new)
    if isinstance(before, str) or isinstance(after, str):
        why = before if isinstance(before, str) else str(after)
        return Compared(Judgement(new.version, good.version, wanted, tuple((gate, why) for gate in wanted)), "")
    diff = compare(before, after)
    fired = rules.fired(map(rules.parse, wanted), diff)
    judgement = Judgement(
        new.version,
        good.version,
        wanted,
        tuple((one.gate, one.message) for one in fired),
        tuple(_counts(diff)),
    )
    return Compared(judgement, _document(new, diff, (good.version, new.version), fired))


def lost(new: Artifact, good: str, wanted: tuple[str, ...]) -> Compared:
    """What the gates say about a version if the last good one is damaged or gone: it passes none of them."""
    why = f"the contents of {good} are not known: it is damaged, or no longer there"
    return Compared(Judgement(new.version, good, wanted, tuple((gate, why) for gate in wanted)), "")


def write(compared: Compared, path: Path) -> None:
    """Write the difference as Markdown; without one, remove that of an earlier version. Raises OSError."""
    if compared.document:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, compared.document)
    else:
        path.unlink(missing_ok=True)


def accepted(judgement: Judgement) -> Judgement:
    """The judgement, after somebody has looked at the differences and accepts them."""
    return replace(judgement, accepted=True)


def _described(artifact: Artifact) -> DescribedImage | str:
    """What is in an image; or why that is not known."""
    image = artifact.image
    near, why = beside.of(image)
    if near is None or near.inventory is None:
        reason = why or (near.why if near else "") or "there is no inventory beside it"
        return f"the contents of {artifact.version} are not known: {reason}"
    return beside.described(image, near, near.inventory)


def _counts(diff: ImageDiff) -> Iterator[str]:
    for one in sections(diff):
        yield f"{one.title}: {one.counts}" if one.counts else one.title
    for size in diff.sizes:
        if size.name == "file" and size.old != size.new:
            yield f"image file: {growth(size)}"


def _document(new: Artifact, diff: ImageDiff, names: tuple[str, str], fired: list[FiredGate]) -> str:
    named = (f"{new.recipe} {names[0]}", f"{new.recipe} {names[1]}")
    return markdown.text(diff, named, fired)
