"""How the record of a shelf changes: versions arrive, old ones leave. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from imagebuild.errors import UsageError
from imagebuild.schema.findings import did_you_mean
from imagebuild.shelf.record import SCHEMA, ShelfRecord, ShelvedTemplate, ShelvedVersion

Arrival = tuple[str, ShelvedVersion]
"""The name of a template, and a version of it."""


def changed(
    former: ShelfRecord,
    arrivals: Sequence[Arrival],
    *,
    missing: Collection[str] = (),
    drop: Sequence[str] = (),
    keep: int,
    now: str,
    signer: str = "",
) -> ShelfRecord:
    """The next record, which is not complete yet.

    The ``keep`` newest versions of each template stay, and none of which a file is ``missing``. ``drop``
    names templates, or single versions as TEMPLATE/VERSION. Raises UsageError for what cannot be.
    """
    serial = former.serial + 1
    gone = set(missing)
    templates = {
        one.name: [version for version in one.versions if gone.isdisjoint(file.name for file in version.files)]
        for one in former.templates
    }
    for name in drop:
        _drop(templates, name)
    for name, version in arrivals:
        _arrive(templates.setdefault(name, []), name, version, serial)
    kept = []
    for name, versions in sorted(templates.items()):
        newest = sorted(versions, key=lambda one: one.serial)[-keep:]
        if newest:
            kept.append(_template(former.template(name), name, newest, serial))
    _check_kept(kept, arrivals, keep)
    new = tuple(kept)
    same = new == former.templates
    files = {file.name for one in new for version in one.versions for file in version.files}
    return ShelfRecord(
        schema=SCHEMA,
        serial=former.serial if same else serial,
        changed=former.changed if same and former.changed else now,
        complete=False,
        signer=signer,
        templates=new,
        grace=tuple(sorted(_named(former) - files)),
    )


def _named(record: ShelfRecord) -> set[str]:
    """The files that the indexes on the shelf name: if they were not all replaced, also those before."""
    return {file.name for file in record.files} | (set() if record.complete else set(record.grace))


def _template(
    former: ShelvedTemplate | None, name: str, versions: list[ShelvedVersion], serial: int
) -> ShelvedTemplate:
    same = former is not None and former.current.disks == versions[-1].disks
    return ShelvedTemplate(name, former.revision if former is not None and same else serial, tuple(versions))


def _arrive(versions: list[ShelvedVersion], name: str, new: ShelvedVersion, serial: int) -> None:
    """Add a version; one that is there already may get another description, but not other images."""
    at = next((number for number, one in enumerate(versions) if one.serial == new.serial), None)
    if at is None:
        versions.append(replace(new, revision=serial))
    elif versions[at].disks != new.disks:
        raise UsageError(
            f"{name} {new.version} is on the shelf with another image, and clients may have it",
            f"build the image again, which makes a new version, or use --drop {name}/{new.version} in a run before",
        )
    else:
        versions[at] = replace(new, revision=versions[at].revision)


def _drop(templates: dict[str, list[ShelvedVersion]], what: str) -> None:
    name, slash, version = what.partition("/")
    if name not in templates:
        raise UsageError(f"--drop {what}: the shelf has no template {name}", did_you_mean(name, templates))
    left = [one for one in templates[name] if slash and one.version != version]
    if len(left) == len(templates[name]):
        known = [one.version for one in left]
        raise UsageError(f"--drop {what}: the shelf has no such version", f"it has {', '.join(known)}")
    templates[name] = left


def _check_kept(kept: Sequence[ShelvedTemplate], arrivals: Sequence[Arrival], keep: int) -> None:
    there = {(one.name, version.version) for one in kept for version in one.versions}
    for name, version in arrivals:
        if (name, version.version) not in there:
            raise UsageError(
                f"{name} {version.version} is older than the {keep} newest versions, which are all that --keep keeps",
                "use a larger --keep, or leave this version out",
            )
