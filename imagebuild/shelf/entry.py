"""An artifact as a version on a shelf: what indexes say about it.

The manifest, the inventory and the domain definition lie beside an image, so they are read without
following links and within limits, and a value that is not as expected is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from imagebuild.contents.inventory import DiskArea, Inventory
from imagebuild.errors import UsageError
from imagebuild.printable import one_line
from imagebuild.publish.release import Release
from imagebuild.shelf.record import ShelvedVersion
from imagebuild.store import beside
from imagebuild.store.artifact import CHECKSUMS, MANIFEST, SIGNED, Artifact

_LARGEST = 64 << 20
_VERSION = re.compile(r"\d{4}-\d\d-\d\d\.\d{1,4}")
_TOKEN = re.compile(r"[A-Za-z0-9._-]{1,64}")
_ARCH = re.compile(r"[a-z0-9_]{1,32}")
_FINGERPRINT = re.compile(r"[0-9a-f]{1,128}")
_NAME = re.compile(r"[A-Za-z0-9_.+-]{1,127}")
_LVM = "LVM2_member"
_PRIMARY = 4
"""The highest number of a primary partition in a DOS table; virt-resize cannot expand logical ones."""
_TITLE = 200


@dataclass(frozen=True)
class Entry:
    """A version without its files, and the contents of those that are small, by item."""

    version: ShelvedVersion
    small: Mapping[str, bytes]


def entry(artifact: Artifact, release: Release) -> Entry:
    """The entry of a checked artifact. Raises UsageError for one that cannot be on a shelf."""
    if not _VERSION.fullmatch(release.version):
        raise UsageError(
            f"{release.template} {release.version} cannot be on a shelf: its version is not a date and a counter",
            "versions are ordered, so they must be like 2026-11-29.1; build the image again",
        )
    manifest, domain = _content(artifact, MANIFEST), _content(artifact, artifact.domain.name)
    try:
        data = json.loads(manifest)
        system = data["recipe"]["os"]
        arch = _matching(_ARCH, system["arch"])
        built = (data.get("built") or {}).get("ended", "")
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise _unusable(artifact, "it does not say for which system the image is") from error
    if not arch:
        raise _unusable(artifact, "it names no architecture")
    expand, lvexpand = _root(artifact)
    version = ShelvedVersion(
        version=release.version,
        files=(),
        virtual_size=release.files[0].virtual_size,
        arch=arch,
        system=_matching(_TOKEN, system.get("distribution") or system.get("family")),
        release=_matching(_TOKEN, system.get("version")),
        codename=_matching(_TOKEN, system.get("codename")),
        osinfo=_matching(_TOKEN, system.get("osinfo")),
        title=_title(data),
        verdict=release.verdict if release.verdict in ("passed", "failed") else "",  # type: ignore[arg-type]
        built=_time(built),
        fingerprint=_matching(_FINGERPRINT, release.fingerprint),
        expand=expand,
        lvexpand=lvexpand,
    )
    return Entry(version, {"manifest.json": manifest, "domain.xml": domain, **_signed(artifact)})


def _unusable(artifact: Artifact, why: str) -> UsageError:
    return UsageError(f"{artifact.folder / MANIFEST} cannot be used: {why}", "build the image again")


def _content(artifact: Artifact, name: str) -> bytes:
    content = _found(artifact, name)
    if content is None:
        raise UsageError(f"{artifact.folder} is not a complete artifact: it has no {name}", "build the image again")
    return content


def _found(artifact: Artifact, name: str) -> bytes | None:
    try:
        return beside.content_of(artifact.folder / name, _LARGEST)
    except beside.ManifestError as error:
        raise UsageError(f"{artifact.folder / name} cannot be used: {error}", "build the image again") from error


def _signed(artifact: Artifact) -> dict[str, bytes]:
    """What clients need to check the signatures of an artifact; nothing if it has none."""
    found = {name: content for name in SIGNED if (content := _found(artifact, name)) is not None}
    return found if found.keys() - {CHECKSUMS} else {}


def _title(data: Mapping[str, Any]) -> str:
    found = data.get("description")
    return one_line(found)[:_TITLE] if isinstance(found, str) else ""


def _time(text: object) -> str:
    try:
        return datetime.fromisoformat(str(text)).astimezone(UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError):
        return ""


def _matching(pattern: re.Pattern[str], value: object) -> str:
    return value if isinstance(value, str) and pattern.fullmatch(value) else ""


def _root(artifact: Artifact) -> tuple[str, str]:
    """The partition and the logical volume that virt-resize can enlarge for the root file system."""
    near, _ = beside.of(artifact.image)
    return expandable(near.inventory) if near is not None and near.inventory is not None else ("", "")


def expandable(inventory: Inventory) -> tuple[str, str]:
    """The partition that virt-resize(1) can expand, and the logical volume in it, if the root file
    system is on one; empty where there is none. Only guests with one disk have any.
    """
    if len(inventory.disks) != 1:
        return "", ""
    disk = inventory.disks[0]
    areas = [one for one in disk.areas if one.number and (disk.table == "gpt" or one.number <= _PRIMARY)]
    for one in areas:
        if one.mountpoint == "/":
            return _partition(one), ""
    physical = [one for one in disk.areas if one.filesystem == _LVM]
    root = next((one for one in inventory.volumes if one.mountpoint == "/" and one.type == "lvm"), None)
    volume = _volume(root.name) if root is not None else ""
    if len(physical) == 1 and physical[0] in areas and volume:
        return _partition(physical[0]), volume
    return "", ""


def _partition(area: DiskArea) -> str:
    return f"/dev/sda{area.number}" if area.number < 1000 else ""


def _volume(name: str) -> str:
    """The device of a logical volume from its name in the device mapper, where a single dash is
    between group and volume, and those in names are doubled (lvm2's dm_build_dm_name).
    """
    parts = [part.replace("\0", "-") for part in name.replace("--", "\0").split("-")]
    return f"/dev/{'/'.join(parts)}" if len(parts) == 2 and all(map(_NAME.fullmatch, parts)) else ""
