"""The index of a virt-builder repository, in the format that virt-builder(1) describes under
SETTING UP THE REPOSITORY.

Its grammar is that of virt-builder's own scanner, builder/index-scan.l of guestfs-tools: no blanks
around ``=``, a value ends with the line, a line that starts with a blank continues it. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from imagebuild.errors import UsageError
from imagebuild.printable import one_line
from imagebuild.shelf.record import ShelfRecord, ShelvedTemplate, ShelvedVersion

_SECTION = re.compile(r"[-A-Za-z0-9._]+")


def index(record: ShelfRecord, images: str) -> str:
    """The text of the index; ``images`` is the folder of the images, relative to it.

    Each template has a section with its current version, which has the template's name, and a hidden
    one for each version, ``TEMPLATE--VERSION``. Raises UsageError for a template that cannot be listed.
    """
    sections = []
    for template in record.templates:
        if not is_listed(template):
            continue
        sections.append(_section(template.name, template.current, template.revision, images))
        for version in reversed(template.versions):
            if len(version.disks) == 1:
                name = f"{template.name}--{version.version}"
                sections.append(_section(name, version, version.revision, images, hidden=True))
    return "\n".join(sections)


def is_listed(template: ShelvedTemplate) -> bool:
    """Whether virt-builder can use a template: it knows only guests with one disk."""
    return len(template.current.disks) == 1


def _section(name: str, version: ShelvedVersion, revision: int, images: str, *, hidden: bool = False) -> str:
    if not _SECTION.fullmatch(name):
        raise UsageError(
            f"{name} cannot be in the index of a virt-builder repository",
            "rename the recipe: its name may have letters, digits, '.', '_' and '-'",
        )
    disk = version.disks[0]
    fields = {
        "name": _value(version.title or name),
        "osinfo": version.osinfo,
        "arch": version.arch,
        "file": f"{images}/{disk.name}",
        "checksum[sha512]": disk.sha512,
        "revision": str(revision),
        "format": "qcow2",
        "size": str(version.virtual_size),
        "compressed_size": str(disk.size),
        "expand": version.expand,
        "lvexpand": version.lvexpand,
        "hidden": "true" if hidden else "",
        "notes": "\n ".join(_notes(version)),
    }
    lines = [f"[{name}]", *(f"{key}={value}" for key, value in fields.items() if value)]
    return "\n".join(lines) + "\n"


def _notes(version: ShelvedVersion) -> Iterator[str]:
    """The lines of the notes; none of them is empty."""
    if version.title:
        yield _value(version.title)
    yield f"Version {version.version}{f', built {version.built}' if version.built else ''}"
    told = {"passed": "passed", "failed": "FAILED"}.get(version.verdict, "none")
    yield f"Verification: {told}"
    if version.fingerprint:
        yield f"Fingerprint of the build: {version.fingerprint}"


def _value(text: str) -> str:
    """Text as a value: one printable line. A dash at the beginning of a line would be escaped by a
    clear signature, but no line begins with a value.
    """
    return one_line(text).strip() or "-"
