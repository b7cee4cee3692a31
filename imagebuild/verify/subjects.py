"""Finds out what is to be verified: an artifact with its manifest, or any image file."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from imagebuild.errors import UsageError
from imagebuild.files import sha256
from imagebuild.image import disk_image, qemu_img, references
from imagebuild.store import beside
from imagebuild.store.artifact import MANIFEST, Artifact, ImageRecord
from imagebuild.verify import identities, registry
from imagebuild.verify.check import CheckCall
from imagebuild.verify.subject import Firmware, Subject, SubjectDisk, definition_beside, usual_machine

GROWN = 1 << 30
"""Bytes that are added to the disk of a clone whose root file system must grow."""
_AGENT_PACKAGE = "qemu-guest-agent"
_LONGEST = 64 << 20
_FORMATS = ("qcow2", "raw", "raw.zst", "vmdk", "vhdx")


def artifact_subject(
    artifact: Artifact, checks: Sequence[CheckCall] | None = None, *, otherwise: Sequence[CheckCall] = ()
) -> Subject:
    """An artifact with the machine beside it and the checks of its manifest, or with ``checks``. A
    manifest that lists none, as that of an older build, gets those of ``otherwise``.

    Raises UsageError if its files are missing, damaged or not as the manifest says.
    """
    content = _manifest(artifact.folder / MANIFEST)
    try:
        images = artifact.manifest().images
    except (OSError, ValueError) as error:
        raise UsageError(f"{artifact.folder / MANIFEST} is no manifest: {error}") from error
    first = images[0]
    machine = definition_beside(artifact.domain)
    count = max(1, len(machine.findall("devices/disk")))
    disks = tuple(_disk(artifact.folder, image) for image in images[:count] if image.format == first.format)
    packages = content.get("packages")
    family = _at(content, "recipe", "os", "family")
    listed = _checks(content.get("checks"), artifact.folder / MANIFEST) if checks is None else checks
    calls = list(otherwise if listed is None else listed)
    return Subject(
        name=f"{artifact.recipe} {artifact.version}",
        disks=disks,
        machine=machine,
        checks=calls,
        agent=family == "debian" and isinstance(packages, dict) and _AGENT_PACKAGE in packages,
        old_cpu=family == "debian",
        seeds=_seeds(artifact.folder / first.file),
        sha256=first.sha256,
        grows=_grows(calls),
        cloud_init="cloud-init" in packages if isinstance(packages, dict) else None,
    )


def image_subject(
    path: Path,
    checks: Sequence[CheckCall],
    *,
    given: disk_image.Format | None = None,
    firmware: Firmware | None = None,
    memory: int = 2 << 30,
    machine: Path | None = None,
) -> Subject:
    """An image file that imagebuild may not have made, on a usual machine or that of ``machine``.

    ``firmware`` is guessed from the partition table if it is not given; ``memory`` is in bytes.
    """
    if not path.is_file():
        raise UsageError(f"{path} does not exist" if not path.exists() else f"{path} is not a file")
    found = disk_image.recognise(path, given)
    guessed = _firmware(path, qemu_img.read(path, found, 0, 34 * 512))
    chosen = firmware or guessed
    where = usual_machine(firmware=chosen, memory=memory) if machine is None else definition_beside(machine.resolve())
    notes = () if machine is not None else (f"on a usual machine with {chosen}: the image has no domain definition",)
    return Subject(
        name=path.name,
        disks=(SubjectDisk(path.resolve(), found),),
        machine=where,
        checks=checks,
        old_cpu=False,
        sha256=sha256(path),
        grows=_grows(checks),
        notes=notes,
    )


def _seeds(image: Path) -> list[str] | None:
    """The random seeds that the inventory beside an image lists, None without an inventory."""
    near, _ = beside.of(image)
    return None if near is None or near.inventory is None else identities.seeds(near.inventory)


def _grows(calls: Sequence[CheckCall]) -> int:
    """The bytes to add to the system disk: a check of a grown file system needs a larger disk."""
    return GROWN if any(getattr(call.params, "grown", False) is True for call in calls) else 0


def _disk(folder: Path, image: ImageRecord) -> SubjectDisk:
    path = folder / image.file
    if "/" in image.file or image.format not in _FORMATS:
        raise UsageError(f"{path}: an image of the format {image.format} cannot be booted", "verify its qcow2")
    try:
        status = path.lstat()
    except OSError as error:
        raise UsageError(f"{path} is missing, but the manifest lists it") from error
    if not stat.S_ISREG(status.st_mode) or status.st_size != image.size:
        raise UsageError(f"{path} is not the image of the manifest: its size differs", "build it again")
    if sha256(path) != image.sha256:
        raise UsageError(f"{path} is not the image of the manifest: its SHA-256 differs", "build it again")
    if image.format in ("qcow2", "raw"):
        disk_image.recognise(path, image.format)  # type: ignore[arg-type]
    elif image.format != "raw.zst":
        _check_alone(path, image.format)
    return SubjectDisk(path, image.format, image.virtual_size)


def _check_alone(path: Path, kind: str) -> None:
    """Raise UsageError for an image that reads its content from other files of this host."""
    with path.open("rb") as file:
        named = references.of_other(file, kind)
    if named is None or named:
        raise UsageError(f"{path} reads its content from other files, or is damaged", "verify its qcow2")


def _manifest(path: Path) -> Mapping[str, Any]:
    try:
        content = beside.content_of(path, _LONGEST)
        found = None if content is None else json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is no manifest: {error}") from error
    if content is None:
        raise UsageError(f"{path} is missing", "give an artifact's folder, or an image file")
    if not isinstance(found, dict):
        raise UsageError(f"{path} is no manifest: it is not a JSON object")
    return found


def _at(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _checks(found: Any, where: Path) -> list[CheckCall] | None:
    """The checks that a manifest lists, each a mapping of one name to its parameters; None if it has
    no list.
    """
    if found is None:
        return None
    try:
        calls = [registry.call(name, params) for one in found for name, params in one.items()]
    except (AttributeError, TypeError, ValueError, UsageError) as error:
        raise UsageError(f"{where} lists checks that this version does not know: {error}") from error
    # A build writes the text of a script. A file would be read on this host, and given to the guest.
    if any(getattr(call.params, "file", None) is not None for call in calls):
        raise UsageError(f"{where} names a file on this host, which no build writes", "give the checks with --recipe")
    # Tests are code that would run on this host, and a manifest is a file of anybody: a build writes their digest.
    if any(call.name == "testinfra" and getattr(call.params, "text", None) is not None for call in calls):
        raise UsageError(
            f"{where} contains tests that would run on this host, which no build writes",
            "give the checks with --recipe",
        )
    return calls


def _firmware(path: Path, start: bytes) -> Firmware:
    """UEFI if the disk has an EFI system partition and nothing that a BIOS would start. ``start`` are
    its first 34 sectors. Raises UsageError for a disk without a boot sector.
    """
    if start[510:512] != b"\x55\xaa":
        raise UsageError(
            f"{path} has no boot sector, so no machine could boot it", "is it a disk image, and in the given format?"
        )
    if start[512:520] != b"EFI PART":
        return "bios"
    entries = [start[at : at + 16] for at in range(1024, len(start) - 127, 128)]
    esp = bytes.fromhex("28732ac11ff8d211ba4b00a0c93ec93b") in entries
    bios = bytes.fromhex("4861682149646f6e744e656564454649") in entries
    return "uefi" if esp and not bios else "bios"
