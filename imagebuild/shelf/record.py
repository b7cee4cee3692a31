"""The record of a shelf: what is on it, with which revisions.

All indexes are written from it, so it has everything that they say. It is kept as JSON in the shelf's
own folder, and is read as strictly as everything that somebody else could have written. Pure.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from imagebuild.errors import UsageError
from imagebuild.publish import names
from imagebuild.store import artifact

if TYPE_CHECKING:
    from pydantic import TypeAdapter

SCHEMA = 1
"""Incremented when a field changes its meaning or is removed."""
LARGEST = 32 << 20
"""Bytes: a version with one disk takes about 2 KiB."""
IMAGE = names.SUFFIX
_SUFFIX = {"manifest.json": ".manifest.json", "domain.xml": ".xml", **{name: f".{name}" for name in artifact.SIGNED}}
"""What the names of small files end with, by item."""
_ITEMS = "|".join(map(re.escape, _SUFFIX))

_STRICT = ConfigDict(strict=True, extra="forbid")
_Number = Annotated[int, Field(ge=0, le=1 << 53)]
_Text = Annotated[str, Field(max_length=1000)]
_Token = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{0,64}$")]
_Time = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$")]
_Partition = Annotated[str, Field(pattern=r"^(/dev/sda[1-9][0-9]{0,2})?$")]
_Volume = Annotated[str, Field(pattern=r"^(/dev/[A-Za-z0-9_.+-]{1,127}/[A-Za-z0-9_.+-]{1,127})?$")]


@dataclass(frozen=True)
class ShelvedFile:
    """A file on a shelf: its name in the folder of images, and its size in bytes. ``item`` is what
    simplestreams calls it: disk1.img, disk2.img …, manifest.json, domain.xml, and for a signed artifact
    SHA256SUMS and the files with signatures, as they are called beside the image.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    item: Annotated[str, Field(pattern=rf"^(disk[1-9][0-9]?\.img|{_ITEMS})$")]
    name: _Text
    size: _Number
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    sha512: Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]

    @property
    def is_disk(self) -> bool:
        """Whether it is an image of a disk."""
        return self.item.endswith(".img")


@dataclass(frozen=True)
class ShelvedVersion:
    """A version of a template. ``files`` has the system disk first; ``virtual_size`` is its size in
    bytes. ``expand`` and ``lvexpand`` are the partition and the logical volume with the root file
    system, as virt-resize(1) names them, or empty. ``built`` is UTC (ISO 8601), or empty.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    version: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d\.\d{1,4}$")]
    files: tuple[ShelvedFile, ...]
    virtual_size: _Number
    arch: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,32}$")]
    system: _Token = ""
    release: _Token = ""
    codename: _Token = ""
    osinfo: _Token = ""
    title: _Text = ""
    verdict: Literal["passed", "failed", ""] = ""
    built: _Time | Literal[""] = ""
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{0,128}$")] = ""
    expand: _Partition = ""
    lvexpand: _Volume = ""
    revision: _Number = 0

    @property
    def disks(self) -> tuple[ShelvedFile, ...]:
        """The images, the system disk's first."""
        return tuple(one for one in self.files if one.is_disk)

    @property
    def serial(self) -> str:
        """The version as text that sorts as versions do: ``2026-11-29.0001``."""
        day, _, number = self.version.rpartition(".")
        return f"{day}.{number:0>4}"


@dataclass(frozen=True)
class ShelvedTemplate:
    """A template with its versions, oldest first. ``revision`` rises whenever the current image is
    another one.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: _Text
    revision: _Number
    versions: tuple[ShelvedVersion, ...]

    @property
    def current(self) -> ShelvedVersion:
        """The newest version."""
        return self.versions[-1]


@dataclass(frozen=True)
class ShelfRecord:
    """A shelf. ``serial`` rises with every change and is the revision of what is new then. ``grace``
    names files that only earlier indexes name. ``complete`` is False while the indexes are replaced,
    so that they may still be those before. ``signer`` is the fingerprint of the key that signs them.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    schema: Annotated[int, Field(ge=SCHEMA, le=SCHEMA)]
    serial: _Number
    changed: _Time | Literal[""]
    complete: bool
    signer: Annotated[str, Field(pattern=r"^[0-9A-F]{0,64}$")]
    templates: tuple[ShelvedTemplate, ...]
    grace: tuple[str, ...]

    @property
    def files(self) -> tuple[ShelvedFile, ...]:
        """All files that the indexes name."""
        return tuple(file for one in self.templates for version in one.versions for file in version.files)

    def template(self, name: str) -> ShelvedTemplate | None:
        """The template of this name, if it is on the shelf."""
        return next((one for one in self.templates if one.name == name), None)


EMPTY = ShelfRecord(SCHEMA, 0, "", complete=True, signer="", templates=(), grace=())
"""The record of a new shelf."""


def encoded(record: ShelfRecord) -> str:
    """The record as JSON in pure ASCII."""
    return json.dumps(asdict(record), indent=1, ensure_ascii=True) + "\n"


def decoded(content: bytes) -> ShelfRecord:
    """The record in a file that anybody could have written. Raises ValueError."""
    record = _adapter().validate_json(content)
    _check(record)
    return record


@cache
def _adapter() -> TypeAdapter[ShelfRecord]:
    from pydantic import TypeAdapter

    return TypeAdapter(ShelfRecord)


def is_file_name(name: str) -> bool:
    """Whether a name is one of a file that a shelf may contain, and remove."""
    return parsed(name) is not None


def parsed(name: str) -> tuple[names.FileName, str] | None:
    """What the name of a file says, and the item of a small one, empty for an image; None if it is not a
    file of a shelf.
    """
    for item, suffix in (("", IMAGE), *_SUFFIX.items()):
        if name.endswith(suffix) and (found := names.parsed(name.removesuffix(suffix) + IMAGE)) is not None:
            return found, item
    return None


def file_name(template: str, version: str, item: str, sha256: str) -> str:
    """The name of a file with this content."""
    if item in _SUFFIX:
        return names.file_name(template, version, sha256).removesuffix(IMAGE) + _SUFFIX[item]
    number = item.removeprefix("disk").removesuffix(".img")
    return names.file_name(template if number == "1" else f"{template}-disk{number}", version, sha256)


def _check(record: ShelfRecord) -> None:
    """Raise ValueError for a record that contradicts itself."""
    _unique(one.name for one in record.templates)
    _unique(file.name for file in record.files)
    for template in record.templates:
        _check_template(template, record.serial)
    if not all(map(is_file_name, record.grace)):
        raise ValueError("it names a file that is not one of a shelf")


def _check_template(template: ShelvedTemplate, serial: int) -> None:
    try:
        names.checked(template.name)
    except UsageError as error:
        raise ValueError(str(error)) from error
    serials = [one.serial for one in template.versions]
    if not serials or serials != sorted(set(serials)):
        raise ValueError("the versions of a template in it are not in order")
    if max(template.revision, *(one.revision for one in template.versions)) > serial:
        raise ValueError("a revision in it is newer than the record")
    for version in template.versions:
        _unique(file.item for file in version.files)
        if not version.files or version.files[0].item != "disk1.img":
            raise ValueError("a version in it has no image of the system disk")
        for file in version.files:
            if file.name != file_name(template.name, version.version, file.item, file.sha256):
                raise ValueError("the name of a file in it does not match its content")


def _unique(values: object) -> None:
    if any(number > 1 for number in Counter(values).values()):  # type: ignore[call-overload]
        raise ValueError("it has something twice")
