"""How the contents of one image differ from those of another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Generic, TypeVar

from imagebuild.contents import versions
from imagebuild.contents.described import DescribedImage
from imagebuild.contents.inventory import EnabledUnit, FileRecord, GuestAccount, Inventory

Entry = TypeVar("Entry")
Known = TypeVar("Known")
_SHOWN_FIELDS = {"kind": "type", "uid": "owner", "gid": "group", "target": "link target", "sha256": "content"}


@dataclass(frozen=True)
class Delta(Generic[Entry]):
    """What only one of two sets has, and what both have but not alike: pairs of old and new."""

    added: tuple[Entry, ...]
    removed: tuple[Entry, ...]
    changed: tuple[tuple[Entry, Entry], ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


@dataclass(frozen=True)
class VersionChange:
    """A package that both images have, in different versions."""

    name: str
    old: str
    new: str


@dataclass(frozen=True)
class PackageChanges:
    """``known`` is false if the packages of one of the images are not known; nothing is then listed.
    ``rewritten`` are versions that differ but count as equal."""

    known: bool
    added: dict[str, str]
    removed: dict[str, str]
    upgraded: tuple[VersionChange, ...]
    downgraded: tuple[VersionChange, ...]
    rewritten: tuple[VersionChange, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.upgraded or self.downgraded or self.rewritten)


@dataclass(frozen=True)
class SizeChange:
    """Bytes before and after; ``name`` is file, virtual or used."""

    name: str
    old: int
    new: int

    @property
    def growth(self) -> float:
        """In percent of the old size; infinite for growth from nothing."""
        if self.old == 0:
            return float("inf") if self.new else 0.0
        return (self.new - self.old) * 100 / self.old


@dataclass(frozen=True)
class ImageDiff:
    """Everything that differs. ``gained`` are files with privileges that they did not have before,
    new files included, and ``lost`` those that no longer have them."""

    system: tuple[VersionChange, ...]
    packages: PackageChanges
    kernels: Delta[str]
    accounts: Delta[GuestAccount]
    units: Delta[EnabledUnit]
    listening: Delta[EnabledUnit]
    gained: tuple[FileRecord, ...]
    lost: tuple[FileRecord, ...]
    files: Delta[FileRecord]
    sizes: tuple[SizeChange, ...]

    @property
    def is_empty(self) -> bool:
        """Whether the contents are alike; sizes may differ."""
        parts = (self.system, self.packages, self.kernels, self.accounts, self.units, self.gained, self.lost)
        return not any(parts) and not self.files


def compare(a: DescribedImage, b: DescribedImage) -> ImageDiff:
    """What is different in ``b``."""
    old, new = a.inventory, b.inventory
    before, after = ({one.path: one for one in inventory.privileged} for inventory in (old, new))
    return ImageDiff(
        system=_system(old, new),
        packages=_packages(old, new),
        kernels=_delta({one: one for one in old.kernels}, {one: one for one in new.kernels}),
        accounts=_delta(_named(old.accounts), _named(new.accounts)),
        units=_delta(_named(old.units), _named(new.units)),
        listening=_delta(_named(old.listening), _named(new.listening)),
        gained=tuple(one for path, one in after.items() if _gains(before.get(path), one)),
        lost=tuple(one for path, one in before.items() if _gains(after.get(path), one)),
        files=_delta({one.path: one for one in old.files}, {one.path: one for one in new.files}, differ=file_changes),
        sizes=(
            SizeChange("file", a.file_size, b.file_size),
            SizeChange("virtual", a.virtual_size, b.virtual_size),
            SizeChange("used", old.used, new.used),
        ),
    )


def file_changes(old: FileRecord, new: FileRecord) -> tuple[str, ...]:
    """The names of what differs; contents are compared if both were read."""
    names = [name for name in FileRecord._fields if getattr(old, name) != getattr(new, name)]
    if not old.sha256 or not new.sha256:
        names = [name for name in names if name != "sha256"]
    return tuple(_SHOWN_FIELDS.get(name, name) for name in names)


def account_changes(old: GuestAccount, new: GuestAccount) -> tuple[str, ...]:
    """The names of the fields of an account that differ."""
    return tuple(one.name for one in fields(GuestAccount) if getattr(old, one.name) != getattr(new, one.name))


def _gains(before: FileRecord | None, after: FileRecord) -> bool:
    if before is None:
        return True
    return not set(after.privileges) <= set(before.privileges) or (
        bool(after.capabilities) and after.capabilities != before.capabilities
    )


def _named(values: Iterable[Any]) -> dict[str, Any]:
    return {one.name: one for one in values}


def _unequal(old: object, new: object) -> bool:
    return old != new


def _delta(
    old: Mapping[str, Known], new: Mapping[str, Known], differ: Callable[[Known, Known], object] = _unequal
) -> Delta[Known]:
    return Delta(
        tuple(new[name] for name in sorted(new.keys() - old.keys())),
        tuple(old[name] for name in sorted(old.keys() - new.keys())),
        tuple(
            (old[name], new[name])
            for name in sorted(old.keys() & new.keys())
            if old[name] != new[name] and differ(old[name], new[name])
        ),
    )


def _system(old: Inventory, new: Inventory) -> tuple[VersionChange, ...]:
    before, after = asdict(old.system), asdict(new.system)
    return tuple(VersionChange(name, before[name], after[name]) for name in before if before[name] != after[name])


def _packages(old: Inventory, new: Inventory) -> PackageChanges:
    if old.packages is None or new.packages is None:
        return PackageChanges(known=False, added={}, removed={}, upgraded=(), downgraded=(), rewritten=())
    before, after = old.packages, new.packages
    both = [VersionChange(name, before[name], after[name]) for name in sorted(before.keys() & after.keys())]
    ordered = [(versions.compare(new.package_format, one.old, one.new), one) for one in both if one.old != one.new]
    return PackageChanges(
        known=True,
        added={name: after[name] for name in sorted(after.keys() - before.keys())},
        removed={name: before[name] for name in sorted(before.keys() - after.keys())},
        upgraded=tuple(one for order, one in ordered if order < 0),
        downgraded=tuple(one for order, one in ordered if order > 0),
        rewritten=tuple(one for order, one in ordered if order == 0),
    )
