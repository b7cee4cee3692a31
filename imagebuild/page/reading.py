"""Reads an artifact for its page. Artifacts may come from anywhere: files are opened by their fixed
names in the artifact's own folder, links are not followed, and every value is checked.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from imagebuild.contents.compare import compare
from imagebuild.contents.described import DescribedImage
from imagebuild.contents.difference import ListedChanges, sections, sizes
from imagebuild.contents.encoding import INVENTORY
from imagebuild.contents.inventory import Inventory
from imagebuild.contents.summary import largest_folders
from imagebuild.page import downloads, loose_json
from imagebuild.page.facts import CheckOutcome, Screenshot, StepTime, VersionDetails, VersionRow
from imagebuild.store import beside
from imagebuild.store.artifact import MANIFEST, Artifact
from imagebuild.store.beside import ManifestError
from imagebuild.verify import screenshot

_LARGEST_JSON = 64 << 20
_LARGEST_PICTURE = 16 << 20
_MOST_FOLDERS = 15
_MOST_MESSAGES = 20
_MOST_CHECKS = 200
_MOST_STEPS = 50


def details(artifact: Artifact, before: DescribedImage | None = None) -> VersionDetails:
    """Everything that is shown about an artifact. ``before`` is the version before it, as
    :func:`described` returns it. What cannot be used is left out, and a note says why.
    """
    manifest, why = _document(artifact.folder / MANIFEST)
    if manifest is None or (artifact.recipe, artifact.version) != (manifest.get("name"), manifest.get("version")):
        why = why or "it belongs to another artifact"
        return VersionDetails(row=_unusable(artifact, f"{MANIFEST} cannot be used: {why}"))
    image, why = described(artifact)
    notes = [why] if why else []
    inventory = image.inventory if image is not None else None
    changes: Sequence[ListedChanges] | None = None
    growth: Sequence[tuple[str, str, str, str]] = ()
    if image is not None and before is not None:
        difference = compare(before, image)
        changes, growth = tuple(sections(difference)), tuple(sizes(difference))
    verification, why = _document(artifact.folder / "verify.json")
    notes += [f"verify.json cannot be used: {why}"] if why else []
    offered = downloads.found(artifact.folder)
    row = _row(artifact, manifest, verification, inventory)
    return VersionDetails(
        row=replace(
            row,
            signed=tuple(what for name, what in downloads.SIGNATURES.items() if any(o.name == name for o in offered)),
            sbom=any(one.what.startswith("SBOM") for one in offered),
            changes=_in_words(changes),
        ),
        image=image,
        packages=_packages(inventory, manifest),
        changes=changes,
        growth=growth,
        folders=largest_folders(inventory.folders, _MOST_FOLDERS) if inventory is not None else (),
        steps=tuple(_steps(manifest)),
        checks=tuple(_checks(verification)),
        downloads=offered,
        screenshot=_screenshot(artifact.folder),
        tools=_pairs(manifest.get("tools")),
        fingerprint=loose_json.text(manifest.get("fingerprint")),
        notes=tuple(notes),
    )


def described(artifact: Artifact) -> tuple[DescribedImage | None, str]:
    """The artifact's inventory with what is compared beside it; or None, and why."""
    try:
        manifest = beside.manifest(artifact.folder)
        if manifest is None:
            return None, f"there is no {MANIFEST}"
        near, why = beside.of(artifact.folder / manifest.images[0].file)
    except (ManifestError, OSError) as error:
        return None, f"the inventory cannot be used: {error.strerror if isinstance(error, OSError) else error}"
    if near is None or near.inventory is None:
        return None, (near.why if near is not None else why) or f"there is no {INVENTORY}"
    entry = near.image
    return (
        DescribedImage(entry.file, entry.format, entry.size, entry.virtual_size, "inventory", near.inventory),
        "",
    )


def _unusable(artifact: Artifact, why: str) -> VersionRow:
    return VersionRow(image=artifact.recipe, version=artifact.version, why=why)


def _document(path: Path) -> tuple[dict[str, Any] | None, str]:
    """The object in a JSON file; or None, and why: empty if there is no such file."""
    try:
        content = beside.content_of(path, _LARGEST_JSON)
    except ManifestError as error:
        return None, str(error)
    if content is None:
        return None, "it is missing" if path.name == MANIFEST else ""
    found = loose_json.document(content)
    return (found, "") if found is not None else (None, "it is not JSON with an object")


def _row(
    artifact: Artifact, manifest: dict[str, Any], verification: dict[str, Any] | None, inventory: Inventory | None
) -> VersionRow:
    image = loose_json.mapping(manifest.get("image"))
    began, ended = (loose_json.time(loose_json.at(manifest, "built", name)) for name in ("began", "ended"))
    took = (ended - began).total_seconds() if began is not None and ended is not None else None
    checks = list(_checks(verification))
    verdict = loose_json.text(loose_json.at(manifest, "verification", "verdict"))
    return VersionRow(
        image=artifact.recipe,
        version=artifact.version,
        description=loose_json.text(manifest.get("description")),
        system=inventory.system.name if inventory is not None else _system(manifest),
        built=ended.isoformat(timespec="seconds") if ended is not None else "",
        size=loose_json.count(image.get("size")),
        virtual_size=loose_json.count(image.get("virtual_size")),
        sha256=loose_json.text(image.get("sha256")),
        packages=len(_packages(inventory, manifest)) or None,
        build_seconds=took if took is not None and took >= 0 else None,
        boot_seconds=loose_json.seconds(loose_json.at(verification, "seconds_to_login")),
        accelerator=loose_json.text(loose_json.at(manifest, "built", "accelerator")),
        verdict=verdict if verdict in ("passed", "failed") else "",
        checks_passed=sum(one.status == "passed" for one in checks),
        checks_failed=sum(one.status == "failed" for one in checks),
    )


def _system(manifest: dict[str, Any]) -> str:
    os = loose_json.at(manifest, "recipe", "os")
    return " ".join(filter(None, (loose_json.text(loose_json.at(os, name)) for name in ("distribution", "version"))))


def _packages(inventory: Inventory | None, manifest: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    if inventory is not None and inventory.packages is not None:
        return tuple(sorted(inventory.packages.items()))
    return _pairs(manifest.get("packages"))


def _pairs(value: object) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, loose_json.text(one)) for name, one in loose_json.mapping(value).items()))


def _steps(manifest: dict[str, Any]) -> Iterator[StepTime]:
    for name, step in list(loose_json.mapping(manifest.get("steps")).items())[:_MOST_STEPS]:
        yield StepTime(name, loose_json.seconds(loose_json.at(step, "seconds")))


def _checks(verification: dict[str, Any] | None) -> Iterator[CheckOutcome]:
    results = loose_json.at(verification, "results")
    for one in results[:_MOST_CHECKS] if isinstance(results, list) else ():
        status = loose_json.text(loose_json.at(one, "status"))
        reason = loose_json.text(loose_json.at(one, "reason"))
        messages = (*loose_json.texts(loose_json.at(one, "problems"))[:_MOST_MESSAGES], *([reason] if reason else []))
        name, seconds = loose_json.text(loose_json.at(one, "name")), loose_json.seconds(loose_json.at(one, "seconds"))
        yield CheckOutcome(name, status, messages, seconds or None)


def _in_words(changes: Sequence[ListedChanges] | None) -> str:
    """The packages that changed, in a few words, or that nothing did."""
    if changes is None:
        return ""
    if not changes:
        return "no changes"
    packages = next((one.counts for one in changes if one.title == "packages" and one.counts), "")
    others = [one.title for one in changes if one.title != "packages"]
    return f"packages: {packages}" if packages else f"changes in {', '.join(others)}"


def _screenshot(folder: Path) -> Screenshot | None:
    """The picture of the first clone whose screen was kept, as PNG (ISO/IEC 15948, 11.2.2)."""
    for path in sorted((*folder.glob("verify-*.png"), *folder.glob("verify-*.ppm"))):
        try:
            content = screenshot.png(beside.content_of(path, _LARGEST_PICTURE) or b"")
            kind, width, height = struct.unpack_from(">4sII", content, 12)
        except (ManifestError, ValueError, struct.error):
            continue
        if kind == b"IHDR" and 0 < width < 1 << 15 and 0 < height < 1 << 15:
            return Screenshot(content, width, height)
    return None
